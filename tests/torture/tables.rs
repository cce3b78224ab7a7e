//! Whoever writes a cdb: readers find the old file whole or the new one whole.

use crate::sweep::{Case, complaints, sweep};
use crate::tamper::{held, run};
use std::fs::File;
use std::process::{Command, Stdio};
use tests::{Scratch, program, scratch};

/// A program that compiles a text, over what it made of an older one.
struct Table {
    place: Scratch,
    program: &'static str,
    words: &'static [&'static str],
    /// Where the text and the compiled file are; the text is also the standard input.
    text: &'static str,
    compiled: &'static str,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Table {
    fn make(
        program: &'static str,
        words: &'static [&'static str],
        [text, compiled]: [&'static str; 2],
        [old, new]: [&str; 2],
    ) -> Self {
        let place = scratch();
        let none = Vec::new();
        let mut table =
            Table { place, program, words, text, compiled, old: none.clone(), new: none };
        table.new = table.made(new);
        table.old = table.made(old);
        table.place.write(text, new);
        table
    }

    fn made(&self, text: &str) -> Vec<u8> {
        self.place.write(self.text, text);
        assert_eq!(run(&mut self.command(), None).code, Some(0), "{}", self.program);
        self.place.read(self.compiled)
    }

    fn renew(&self) {
        self.place.write(self.compiled, &self.old);
    }

    fn command(&self) -> Command {
        let mut program = match self.program {
            "sh" => Command::new("sh"),
            ours => program(ours),
        };
        program.args(self.words).current_dir(self.place.path());
        program.env("QMAILHOME", self.place.path());
        let mut command = held(&program);
        command.stdin(File::open(self.place.join(self.text)).unwrap());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let found = self.place.read(self.compiled);
        if found != self.new && found != self.old {
            return Err(format!("a file of {} bytes", found.len()));
        }
        match code {
            Some(0) if found != self.new => Err("done, it says, but the file is old".into()),
            // 127 is a start that the C library gives up
            None | Some(0 | 111 | 127) => Ok(()),
            Some(other) => Err(format!("no temporary failure: {other}")),
        }
    }
}

/// A case that is a table, made by this.
macro_rules! table {
    ($case:ident, $made:expr) => {
        struct $case(Table);

        impl Case for $case {
            fn new() -> Self {
                $case($made)
            }
            fn renew(&self) {
                self.0.renew();
            }
            fn command(&self) -> Command {
                self.0.command()
            }
            fn check(&self, code: Option<i32>) -> Result<(), String> {
                self.0.check(code)
            }
        }
    };
}

const RULES: [&str; 2] = ["rules", "rules.cdb"];

table!(Rules, {
    let new = "127.0.0.1:allow,A=\"x\"\n".repeat(400);
    Table::make("tcprules", &["rules.cdb", "rules.tmp"], RULES, [":deny\n", &new])
});
table!(Users, {
    let new = "=joe:joe:507:100:/home/joe:::\n".repeat(400) + ".\n";
    Table::make("qmail-newu", &[], ["users/assign", "users/cdb"], ["=a:a:1:1:/:::\n.\n", &new])
});
// what the machinery must complain of
table!(Careless, {
    const WORDS: &[&str] = &["-c", "read -r line; echo \"$line\" >rules.cdb"];
    Table::make("sh", WORDS, RULES, ["old\n", "new\n"])
});

#[test]
fn tcprules_leaves_the_old_rules_or_the_new_ones() {
    sweep::<Rules>("tcprules");
}

#[test]
fn qmail_newu_leaves_the_old_users_or_the_new_ones() {
    sweep::<Users>("qmail-newu");
}

#[test]
fn a_careless_program_is_found_out() {
    let (_, complaints) = complaints::<Careless>();
    let found = |what| complaints.iter().any(|complaint: &String| complaint.contains(what));
    assert!(found("(write), Error(ENOSPC)"), "{complaints:#?}");
    assert!(found("(write), Kill: None: a file of 0 bytes"), "{complaints:#?}");
}
