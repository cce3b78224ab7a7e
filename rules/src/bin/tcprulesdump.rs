//! tcprulesdump: turn compiled rules back into text.
#![cfg_attr(not(test), no_main)]

use base::cdb::Reader;
use base::files::open_read;
use base::out::Out;
use base::{Args, Code, Die, Result, Unable};
use rules::dump::Dump;
use std::path::Path;

base::program!("tcprulesdump", run);

const USAGE: &str = "tcprulesdump rules.cdb";

fn run(words: Args) -> Result<Code> {
    let [name] = &words[..] else {
        return Err(Die::usage(USAGE));
    };
    let read = format!("read {}", name.display());
    let file = open_read(Path::new(name)).and_then(Reader::new).unable(&read)?;
    let dump = Dump::new(&file).unable(&read)?;
    let mut out = Out::stdout();
    for record in file.records() {
        let line = record.and_then(|record| dump.line(&record)).unable(&read)?;
        out.put(line.unwrap_or_default()).unable("write output")?;
    }
    out.flush().unable("write output")?;
    Ok(Code::DONE)
}
