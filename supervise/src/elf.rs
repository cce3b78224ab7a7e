//! Executable files: the interpreter that the kernel starts for a dynamically linked one.
//! elf(5).

/// Bytes at the start of a file in which its headers and the interpreter's name are.
pub const START: usize = 4096;

/// p_type of the segment that holds the interpreter's name.
const INTERPRETER: u64 = 3;

/// The interpreter that a file with this start names, up to its NUL. None for a
/// static program, a script, a damaged file, or one whose name lies behind the start.
pub fn interpreter(start: &[u8]) -> Option<&[u8]> {
    let wide = start.strip_prefix(b"\x7fELF")?.first()? == &2;
    if !wide {
        return None;
    }
    let table = number(start, 32, 8)?;
    let (size, count) = (number(start, 54, 2)?, number(start, 56, 2)?);
    let mut headers = (0..count).filter_map(|index| table.checked_add(index.checked_mul(size)?));
    let header = headers.find(|at| number(start, *at, 4) == Some(INTERPRETER))?;
    let from = usize::try_from(number(start, header.checked_add(8)?, 8)?).ok()?;
    let length = usize::try_from(number(start, header.checked_add(32)?, 8)?).ok()?;
    let name = start.get(from..from.checked_add(length)?)?;
    name.split(|byte| *byte == 0).next()
}

/// The number in these bytes, in the byte order of all machines that this runs on.
fn number(bytes: &[u8], at: u64, size: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let field = bytes.get(at..at.checked_add(size)?)?;
    Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start_of(path: &str) -> Vec<u8> {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.truncate(START);
        bytes
    }

    #[test]
    fn the_shell_has_one_and_a_script_has_none() {
        let shell = start_of("/bin/sh");
        assert!(interpreter(&shell).unwrap().starts_with(b"/lib"));
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
        assert_eq!(interpreter(b""), None);
    }

    #[test]
    fn damaged_headers_name_nothing_or_something_but_never_more() {
        let good = start_of("/bin/sh");
        let mut random = ::tests::Random::new(5);
        for _ in 0..10_000 {
            let mut bytes = good.clone();
            for _ in 0..8 {
                let at = random.below(1000);
                bytes[at] = random.below(256) as u8;
            }
            bytes.truncate(random.below(START));
            interpreter(&bytes);
        }
    }
}
