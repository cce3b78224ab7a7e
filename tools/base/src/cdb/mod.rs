//! Constant databases, bit for bit as the original: 32-bit little-endian numbers, 256 hash
//! tables, first record of a key wins.
//!
//! ```text
//! 2048 bytes     256 pairs (position of table, slots in it)
//! records        key length, data length, key, data; in input order
//! tables         slots of (hash, position of record); position 0 is an empty slot
//! ```

mod reader;
mod records;
mod writer;

pub use reader::Reader;
pub use records::{Record, Records};
pub use writer::Writer;

/// Bytes of the head: 256 pairs of two numbers.
const HEAD: u32 = 2048;

/// The hash of a key: from 5381, times 33, xor the byte.
pub fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381, |hash: u32, byte| hash.wrapping_mul(33) ^ u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;
    use std::fs;
    use std::io;

    /// Writes records, gives the bytes of the file.
    fn made(name: &str, records: &[(&[u8], &[u8])]) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!("cdb-{}-{name}", std::process::id()));
        let mut writer = Writer::create(&path).unwrap();
        for (key, data) in records {
            writer.add(key, data).unwrap();
        }
        writer.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        bytes
    }

    /// Opens bytes as a database.
    fn opened(name: &str, bytes: &[u8]) -> io::Result<Reader> {
        let path = std::env::temp_dir().join(format!("cdb-{}-{name}", std::process::id()));
        fs::write(&path, bytes)?;
        let reader = Reader::open(&path);
        fs::remove_file(&path)?;
        reader
    }

    #[test]
    fn an_empty_database_is_2048_bytes_and_finds_nothing() {
        let bytes = made("empty", &[]);
        assert_eq!(bytes, [2048u32, 0].map(u32::to_le_bytes).concat().repeat(256));
        let reader = opened("empty", &bytes).unwrap();
        assert_eq!(reader.find(b"").unwrap(), None);
        assert_eq!(reader.records().count(), 0);
    }

    #[test]
    fn a_half_written_file_is_no_database() {
        let path = std::env::temp_dir().join(format!("cdb-{}-half", std::process::id()));
        let mut writer = Writer::create(&path).unwrap();
        writer.add(b"key", &[b'x'; 70_000]).unwrap();
        drop(writer);
        let why = Reader::open(&path).err().map(|why| why.kind());
        fs::remove_file(&path).unwrap();
        assert_eq!(why, Some(io::ErrorKind::InvalidData));
    }

    #[test]
    fn what_was_added_is_found_and_the_first_of_a_key_wins() {
        let records: Vec<(Vec<u8>, Vec<u8>)> = (0..5000u32)
            .map(|n| (format!("key {}", n % 4000).into_bytes(), n.to_string().into_bytes()))
            .collect();
        let borrowed: Vec<_> = records.iter().map(|(key, data)| (&key[..], &data[..])).collect();
        let reader = opened("many", &made("many", &borrowed)).unwrap();
        for n in 0..4000u32 {
            let data = reader.find(format!("key {n}").as_bytes()).unwrap();
            assert_eq!(data, Some(n.to_string().into_bytes()));
        }
        assert_eq!(reader.find(b"key 4000").unwrap(), None);
        let all: Vec<_> = reader.records().map(|record| record.unwrap()).collect();
        assert_eq!(all.len(), 5000);
        let mut keys = Vec::new();
        reader.each_key(|key| keys.push(key.to_vec())).unwrap();
        assert!(keys.iter().eq(all.iter().map(|record| &record.key)));
        assert!(all.iter().zip(&records).all(|(a, b)| (&a.key, &a.data) == (&b.0, &b.1)));
    }

    #[test]
    fn damaged_files_give_errors_or_answers_but_never_more() {
        let little = made("little", &[(b"a", b"1"), (b"b", b"22"), (b"", b"333")]);
        // This one is not read whole.
        let big = made("big", &[(b"a", b"1"), (b"b", &[b'x'; 70_000]), (b"", b"333")]);
        let mut random = Random::new(1);
        for case in 0..11_000 {
            let mut bad = if case % 11 == 0 { big.clone() } else { little.clone() };
            for _ in 0..1 + random.below(4) {
                // Near the start or the end, where the numbers are.
                let at = random.below(little.len());
                let at = if random.below(2) == 0 { at } else { bad.len() - 1 - at };
                bad[at] = [0, 1, 0x7f, 0x80, 0xff, random.below(256) as u8][random.below(6)];
            }
            bad.truncate(if random.below(3) == 0 { random.below(bad.len()) } else { bad.len() });
            let Ok(reader) = opened("bad", &bad) else { continue };
            let _ = (reader.find(b"a"), reader.find(b"b"), reader.find(b""));
            assert!(reader.records().take(10_000).count() < 10_000);
            let mut keys = 0;
            let _ = reader.each_key(|_| keys += 1);
            assert!(keys < 10_000);
        }
    }
}
