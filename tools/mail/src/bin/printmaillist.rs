//! printmaillist: print a compiled mailing list as text.
#![cfg_attr(not(test), no_main)]

use base::input::Input;
use base::out::Out;
use base::{Args, Code, Die, Result, Unable};
use mail::forwarding::list_text;

base::program!("printmaillist", run);

const BAD_FORMAT: &str = "bad mailing list format";

fn run(_: Args) -> Result<Code> {
    let mut input = Input::stdin();
    let mut out = Out::stdout();
    let mut item = Vec::new();
    loop {
        let bytes = input.fill().unable("read input")?;
        if bytes.is_empty() {
            break;
        }
        let end = memchr::memchr(0, bytes);
        item.extend(&bytes[..end.unwrap_or(bytes.len())]);
        let count = end.map_or(bytes.len(), |end| end + 1);
        input.consume(count);
        if end.is_some() {
            let line = list_text::line(&item).ok_or_else(|| Die::perm(BAD_FORMAT))?;
            out.put(line).unable("write output")?;
            item.clear();
        }
    }
    out.flush().unable("write output")?;
    if item.is_empty() { Ok(Code::DONE) } else { Err(Die::perm(BAD_FORMAT)) }
}
