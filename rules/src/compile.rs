//! From lines to records, in the order in which the file has them.

use crate::address::Address;
use crate::line::{self, Line};
use crate::network::Network;
use std::cmp::Reverse;

/// Takes lines and gives keys with their data. Networks come after all else, long ones first, so
/// that a rule for an address, a prefix or a smaller network wins wherever it stands.
#[derive(Default)]
pub struct Compiler {
    networks: Vec<(Network, Box<[u8]>)>,
    key: Vec<u8>,
    data: Vec<u8>,
}

impl Compiler {
    /// The next line. `false`: it is bad.
    pub fn line<E>(
        &mut self,
        text: &[u8],
        mut add: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        match line::parse(text, &mut self.data) {
            Line::Rule(Address::Network(network)) => {
                self.networks.push((network, self.data[..].into()));
            }
            Line::Rule(address) => address.each_key(&mut self.key, |key| add(key, &self.data))?,
            Line::Nothing | Line::NoColon => {}
            Line::Bad => return Ok(false),
        }
        Ok(true)
    }

    /// The end of the lines.
    pub fn finish<E>(
        mut self,
        mut add: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.networks.sort_by_key(|(network, _)| Reverse(network.length()));
        self.networks
            .iter()
            .try_for_each(|(network, data)| network.each_key(&mut self.key, |key| add(key, data)))
    }
}

/// All records of a text, as the tests of other modules want them. Panics at a bad line.
#[cfg(test)]
pub(crate) fn records(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], data: &[u8]| {
        records.push((key.to_vec(), data.to_vec()));
        Ok::<(), ()>(())
    };
    let mut compiler = Compiler::default();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        assert_eq!(compiler.line(line, &mut add), Ok(true), "{}", String::from_utf8_lossy(line));
    }
    compiler.finish(&mut add).unwrap();
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_come_last_and_long_ones_first() {
        let text = b"10.0.0.0/8:deny\n2001:db8::/32:allow\n10.1.0.0/16:allow\n8.0.0.0/8:allow\n\
                     # comment\nno colon\n10.:allow,A=/b/\n";
        let shown: Vec<_> = records(text)
            .iter()
            .map(|(key, data)| [key, &b" "[..], data].concat())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', "|"))
            .collect();
        let six = "^00`000000000000a0000bc0de0fgh000 ";
        assert_eq!(shown, ["10. +A=b|", six, "10.1. ", "10. D|", "8. "]);
    }
}
