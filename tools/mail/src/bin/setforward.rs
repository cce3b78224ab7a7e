//! setforward: compile forwarding instructions into a table.
#![cfg_attr(not(test), no_main)]

use base::cdb::Writer;
use base::files;
use base::input::Input;
use base::{Args, Code, Die, Result, Unable};
use mail::forwarding::table_text::Parser;
use std::path::Path;

base::program!("setforward", run);

const USAGE: &str = "setforward data.cdb data.tmp";

fn run(words: Args) -> Result<Code> {
    let [cdb, temporary, ..] = &words[..] else { return Err(Die::usage(USAGE)) };
    let (cdb, temporary) = (Path::new(cdb), Path::new(temporary));
    let table = Writer::create(temporary).unable(format_args!("create {}", temporary.display()));
    copy(&mut Input::stdin(), table?, temporary)?;
    let (from, to) = (temporary.display(), cdb.display());
    files::replace(temporary, cdb).unable(format_args!("move {from} to {to}"))?;
    Ok(Code::DONE)
}

/// Makes records of all instructions.
fn copy(input: &mut Input, mut table: Writer, name: &Path) -> Result<()> {
    let mut parser = Parser::new();
    let write = format!("write to {}", name.display());
    loop {
        let text = input.fill().unable("read input")?;
        let count = text.len();
        let read = if count == 0 { parser.end().map(|()| Vec::new()) } else { parser.read(text) };
        let fault = |fault| Die::perm(format_args!("line {}: {fault}", parser.line()));
        for record in read.map_err(fault)? {
            table.add(&record.key, &record.data).unable(&write)?;
        }
        if count == 0 {
            return table.finish().unable(&write);
        }
        input.consume(count);
    }
}
