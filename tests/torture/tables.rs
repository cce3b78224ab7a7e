//! Whoever writes a cdb: readers find the old file whole or the new one whole.

use crate::site::{Site, site};
use crate::sweep::{Case, sweep, swept};
use crate::tamper::{held, run};
use std::fs::File;
use std::process::{Command, Stdio};
use tests::{Scratch, program, scratch};

/// A program that compiles a text, over what it made of an older one.
struct Table {
    own: Scratch,
    /// Where it runs, if it looks for files at fixed places.
    site: Option<Site>,
    /// The program and its words.
    words: &'static [&'static str],
    /// Where the text and the compiled file are; the text is also the standard input.
    text: &'static str,
    compiled: &'static str,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Table {
    fn make(
        site: Option<Site>,
        words: &'static [&'static str],
        [text, compiled]: [&'static str; 2],
        [old, new]: [&str; 2],
    ) -> Self {
        let (own, none) = (scratch(), Vec::new());
        let mut table = Table { own, site, words, text, compiled, old: none.clone(), new: none };
        table.new = table.made(new);
        table.old = table.made(old);
        table.place().write(text, new);
        table
    }

    fn place(&self) -> &Scratch {
        self.site.as_ref().map_or(&self.own, |site| &site.place)
    }

    fn made(&self, text: &str) -> Vec<u8> {
        self.place().write(self.text, text);
        assert_eq!(run(&mut self.command(), None).code, Some(0), "{}", self.words[0]);
        self.place().read(self.compiled)
    }

    fn renew(&self) {
        self.place().write(self.compiled, &self.old);
    }

    fn command(&self) -> Command {
        let mut program = match (&self.site, self.words[0]) {
            (Some(site), ours) => site.plain(ours),
            (None, "sh") => Command::new("sh"),
            (None, ours) => program(ours),
        };
        program.args(&self.words[1..]);
        let mut command = match &self.site {
            Some(site) => site.inside(&held(&program)),
            None => {
                program.current_dir(self.own.path()).env("QMAILHOME", self.own.path());
                held(&program)
            }
        };
        command.stdin(File::open(self.place().join(self.text)).unwrap());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn check(&self, code: Option<i32>) -> Result<(), String> {
        let found = self.place().read(self.compiled);
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
    Table::make(None, &["tcprules", "rules.cdb", "rules.tmp"], RULES, [":deny\n", &new])
});
table!(Users, {
    let new = "=joe:joe:507:100:/home/joe:::\n".repeat(400) + ".\n";
    let old = "=a:a:1:1:/:::\n.\n";
    Table::make(None, &["qmail-newu"], ["users/assign", "users/cdb"], [old, &new])
});
table!(Hosts, {
    let new = "mail.b.example\n.b.example\n".repeat(400);
    let names = ["control/morercpthosts", "control/morercpthosts.cdb"];
    Table::make(None, &["qmail-newmrh"], names, ["a.example\n", &new])
});
table!(Aliases, {
    let new = "joe: ann, bob@b.example\n".repeat(400);
    let names = ["etc/aliases", "etc/aliases.cdb"];
    Table::make(site(), &["newaliases"], names, ["joe: ann\n", &new])
});
table!(Included, {
    let new = "ann, bob@b.example\n".repeat(400);
    Table::make(site(), &["newinclude", "list"], ["list", "list.bin"], ["ann\n", &new])
});
table!(Forward, {
    let new = "joe@a.example: ann, bob@b.example;\n".repeat(400);
    let words = &["setforward", "table.cdb", "table.tmp"];
    Table::make(None, words, ["table", "table.cdb"], ["joe: ann;\n", &new])
});
table!(MailList, {
    let new = "ann\nbob@b.example\n".repeat(400);
    let words = &["setmaillist", "list.bin", "list.tmp"];
    Table::make(None, words, ["list", "list.bin"], ["ann@a.example\n", &new])
});
// what the machinery must complain of
table!(Careless, {
    const WORDS: &[&str] = &["sh", "-c", "read -r line; echo \"$line\" >rules.cdb"];
    Table::make(None, WORDS, RULES, ["old\n", "new\n"])
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
fn qmail_newmrh_leaves_the_old_hosts_or_the_new_ones() {
    sweep::<Hosts>("qmail-newmrh");
}

#[test]
fn newaliases_leaves_the_old_aliases_or_the_new_ones() {
    if site().is_some() {
        sweep::<Aliases>("newaliases");
    }
}

#[test]
fn newinclude_leaves_the_old_list_or_the_new_one() {
    if site().is_some() {
        sweep::<Included>("newinclude");
    }
}

#[test]
fn setforward_leaves_the_old_table_or_the_new_one() {
    sweep::<Forward>("setforward");
}

#[test]
fn setmaillist_leaves_the_old_list_or_the_new_one() {
    sweep::<MailList>("setmaillist");
}

#[test]
fn a_careless_program_is_found_out() {
    let complaints = swept::<Careless>(1).complaints;
    let found = |what| complaints.iter().any(|complaint: &String| complaint.contains(what));
    assert!(found("(write), ENOSPC"), "{complaints:#?}");
    assert!(found("(write), kill: None: a file of 0 bytes"), "{complaints:#?}");
}
