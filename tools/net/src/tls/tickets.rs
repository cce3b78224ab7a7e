//! Session tickets under keys that several processes share, so that a client which comes back
//! need not go through the whole handshake although each connection has a process of its own.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, SystemTime};

/// A key file: the current key, then the previous one, 40 random bytes each.
pub const FILE: usize = 2 * KEY;
/// A name of 8 bytes, which stands before tickets, and 32 bytes of key.
const KEY: usize = 40;
const NAME: usize = 8;
/// Keys that have not been changed for so long are not used: whoever gets hold of them can read
/// what was said under their tickets.
const OLDEST: Duration = Duration::from_secs(12 * 3600);
/// How long clients keep a ticket, in seconds.
const LIFETIME: u32 = 6 * 3600;

/// Makes tickets under the first key and reads those of both.
#[derive(Debug)]
pub struct Tickets([Key; 2]);

#[derive(Debug)]
struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

impl Tickets {
    /// Reads a key file. `None` if it is too old.
    pub fn read(file: File) -> io::Result<Option<Self>> {
        // A time in the future is none that says how old the keys are.
        let age = SystemTime::now().duration_since(file.metadata()?.modified()?);
        if age.is_ok_and(|age| age > OLDEST) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(FILE as u64 + 1).read_to_end(&mut bytes)?;
        Tickets::new(&bytes).map(Some).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// `None` if these are not 80 bytes.
    fn new(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; FILE] = bytes.try_into().ok()?;
        let (current, previous) = bytes.split_at(KEY);
        Some(Tickets([Key::new(current)?, Key::new(previous)?]))
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Self> {
        let (name, key) = bytes.split_first_chunk()?;
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).ok()?;
        Some(Key { name: *name, key: LessSafeKey::new(key) })
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    /// The key's name, a random nonce, and `plain` sealed with both of them as context.
    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let Tickets([current, _]) = self;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let (unique, context) = (Nonce::assume_unique_for_key(nonce), Aad::from(current.name));
        current.key.seal_in_place_append_tag(unique, context, &mut sealed).ok()?;
        Some([&current.name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk()?;
        let key = self.0.iter().find(|key| key.name == *name)?;
        let mut sealed = sealed.to_vec();
        let (unique, context) = (Nonce::assume_unique_for_key(*nonce), Aad::from(*name));
        let plain = key.key.open_in_place(unique, context, &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;

    #[test]
    fn tickets_are_read_under_both_keys_and_no_other() {
        let mut random = Random::new(5);
        let [old, new, newest] = [(); 3].map(|()| random.bytes(KEY));
        let before = Tickets::new(&[&new[..], &old].concat()).unwrap();
        let after = Tickets::new(&[&newest[..], &new].concat()).unwrap();
        let ticket = before.encrypt(b"session").unwrap();
        assert_eq!(after.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(before.decrypt(&after.encrypt(b"session").unwrap()), None);
        assert_ne!(before.encrypt(b"session").unwrap(), ticket);
        for _ in 0..10_000 {
            let damaged = random.damaged(&ticket);
            assert!(damaged == ticket || after.decrypt(&damaged).is_none());
        }
        assert!(Tickets::new(&old).is_none());
    }
}
