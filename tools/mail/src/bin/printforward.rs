//! printforward: print a forwarding table as text.
#![cfg_attr(not(test), no_main)]

use base::cdb::Record;
use base::input::Input;
use base::out::Out;
use base::{Args, Code, Die, Result, Unable};
use mail::forwarding::table_text;
use std::io::Read;

base::program!("printforward", run);

/// Bytes before the first record.
const HEAD: u32 = 2048;

fn run(_: Args) -> Result<Code> {
    let mut input = Input::stdin();
    let mut out = Out::stdout();
    let head = bytes(&mut input, HEAD)?;
    // The first table stands behind the last record.
    let (end, _) = two_numbers(&head)?;
    let mut at = HEAD;
    while at < end {
        let (key_size, data_size) = two_numbers(&bytes(&mut input, 8)?)?;
        let key = bytes(&mut input, key_size)?;
        let data = bytes(&mut input, data_size)?;
        let next = [8, key_size, data_size].iter().try_fold(at, |at, n| at.checked_add(*n));
        at = next.ok_or_else(bad_format)?;
        let text = table_text::text(&Record { key, data }).ok_or_else(bad_format)?;
        out.put(text).unable("write output")?;
    }
    if at != end {
        return Err(bad_format());
    }
    out.flush().unable("write output")?;
    Ok(Code::DONE)
}

fn bad_format() -> Die {
    Die::perm("bad database format")
}

/// So many bytes; fewer are bad format. Memory grows with what is there, not with what a number
/// in the file says.
fn bytes(input: &mut Input, count: u32) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.by_ref().take(count.into()).read_to_end(&mut bytes).unable("read input")?;
    if bytes.len() == count as usize { Ok(bytes) } else { Err(bad_format()) }
}

/// The two numbers that bytes start with.
fn two_numbers(bytes: &[u8]) -> Result<(u32, u32)> {
    let (pair, _) = bytes.split_first_chunk::<8>().ok_or_else(bad_format)?;
    let [a, b, c, d, e, f, g, h] = *pair;
    Ok((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
}
