//! OpenSSL's cipher strings, as run scripts and control files have them, for the nine suites that
//! there are here. What they say of others is passed over.

use rustls::crypto::ring::cipher_suite as suites;
use rustls::{CipherSuite, SupportedCipherSuite};

/// A cipher suite and what OpenSSL calls it.
pub struct Suite {
    suite: SupportedCipherSuite,
    /// OpenSSL's name, as SSL_CIPHER shows it.
    pub name: &'static str,
    /// Length of the key in bits.
    pub bits: u16,
    /// The words by which a cipher string selects it, besides `ALL` and its names.
    words: &'static str,
}

/// Those of TLS 1.2, which cipher strings select from. Best first.
static OLD: [Suite; 6] = [
    Suite {
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        bits: 256,
        words: "ECDSA aECDSA AES AES256 AESGCM SHA384",
    },
    Suite {
        suite: suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        bits: 256,
        words: "RSA aRSA AES AES256 AESGCM SHA384",
    },
    Suite {
        suite: suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        bits: 256,
        words: "ECDSA aECDSA CHACHA20 SHA256",
    },
    Suite {
        suite: suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        bits: 256,
        words: "RSA aRSA CHACHA20 SHA256",
    },
    Suite {
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        bits: 128,
        words: "ECDSA aECDSA AES AES128 AESGCM SHA256",
    },
    Suite {
        suite: suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        bits: 128,
        words: "RSA aRSA AES AES128 AESGCM SHA256",
    },
];

/// Those of TLS 1.3, which OpenSSL's cipher strings leave alone.
static NEW: [Suite; 3] = [
    Suite {
        suite: suites::TLS13_AES_256_GCM_SHA384,
        name: "TLS_AES_256_GCM_SHA384",
        bits: 256,
        words: "",
    },
    Suite {
        suite: suites::TLS13_CHACHA20_POLY1305_SHA256,
        name: "TLS_CHACHA20_POLY1305_SHA256",
        bits: 256,
        words: "",
    },
    Suite {
        suite: suites::TLS13_AES_128_GCM_SHA256,
        name: "TLS_AES_128_GCM_SHA256",
        bits: 128,
        words: "",
    },
];

/// What all suites of TLS 1.2 here have in common.
const COMMON: &str = "ALL DEFAULT COMPLEMENTOFDEFAULT HIGH FIPS SUITEB128 ECDHE EECDH kECDHE kEECDH AEAD TLSv1.2 \
    secure compat legacy insecure";

/// What is known of a suite.
pub fn of(suite: CipherSuite) -> Option<&'static Suite> {
    OLD.iter().chain(&NEW).find(|known| known.suite.suite() == suite)
}

/// The suites that a cipher string allows, in its order. Suites of TLS 1.3 are not touched, unless
/// some are named. A string without any known word changes nothing.
pub fn select(text: &[u8]) -> Vec<SupportedCipherSuite> {
    let text = String::from_utf8_lossy(text);
    let words = || text.split([':', ',', ';', ' ', '\t', '\n']).filter(|word| !word.is_empty());
    let named: Vec<_> = words()
        .filter_map(|word| NEW.iter().find(|suite| suite.is_named(word)).map(|new| new.suite))
        .collect();
    let old = select_old(words());
    if named.is_empty() && old.is_none() {
        return NEW.iter().chain(&OLD).map(|suite| suite.suite).collect();
    }
    let new = if named.is_empty() { NEW.iter().map(|suite| suite.suite).collect() } else { named };
    // Names of TLS 1.3 alone want TLS 1.3 alone.
    new.into_iter().chain(old.unwrap_or_default()).collect()
}

/// `None`: no word of the string means a suite of TLS 1.2.
fn select_old<'a>(words: impl Iterator<Item = &'a str>) -> Option<Vec<SupportedCipherSuite>> {
    let mut selected: Vec<&Suite> = Vec::new();
    let mut killed: Vec<&Suite> = Vec::new();
    let (mut added, mut known) = (false, false);
    for word in words {
        let (how, word) = match word.split_at_checked(1) {
            Some((how @ ("!" | "-" | "+" | "@"), word)) => (how, word),
            _ => ("", word),
        };
        let meant: Vec<&Suite> = OLD.iter().filter(|suite| suite.is_meant(word)).collect();
        known |= !meant.is_empty();
        match how {
            "" => {
                added |= !meant.is_empty();
                let fresh = |suite: &&Suite| {
                    !selected.iter().chain(&killed).any(|old| old.name == suite.name)
                };
                let fresh: Vec<_> = meant.into_iter().filter(fresh).collect();
                selected.extend(fresh);
            }
            "@" if word == "STRENGTH" => {
                selected.sort_by_key(|suite| std::cmp::Reverse(suite.bits))
            }
            "@" => {}
            _ => {
                // A string of exclusions alone takes away from everything.
                if !added && selected.is_empty() && how != "+" {
                    selected = OLD.iter().collect();
                    added = true;
                }
                let is_meant = |suite: &&Suite| meant.iter().any(|one| one.name == suite.name);
                let (moved, rest): (Vec<_>, Vec<_>) = selected.into_iter().partition(is_meant);
                selected = rest;
                match how {
                    "+" => selected.extend(moved),
                    "!" => killed.extend(meant),
                    _ => {}
                }
            }
        }
    }
    known.then(|| selected.into_iter().map(|suite| suite.suite).collect())
}

impl Suite {
    fn is_named(&self, word: &str) -> bool {
        let iana = self.suite.suite().as_str().unwrap_or_default();
        word.eq_ignore_ascii_case(self.name) || word.eq_ignore_ascii_case(iana)
    }

    /// `word` may be several ones with a plus between them, which must all mean this suite.
    fn is_meant(&self, word: &str) -> bool {
        self.is_named(word)
            || word.split('+').all(|word| {
                let all = COMMON.split(' ').chain(self.words.split(' '));
                !word.is_empty() && all.into_iter().any(|known| known == word)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tests::Random;
    use rustls::crypto::ring::ALL_CIPHER_SUITES;

    /// The suites of TLS 1.2, shortened, after the number of those of TLS 1.3.
    fn selected(text: &str) -> String {
        let all = select(text.as_bytes());
        let names = all.iter().filter_map(|suite| of(suite.suite())).map(|suite| suite.name);
        let (new, old): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with("TLS_"));
        let short = old.iter().map(|name| {
            let name = name.replace("ECDHE-", "").replace("SA-", "").replace("-GCM", "");
            name.split("-SHA").next().unwrap_or_default().replace("-POLY1305", "")
        });
        short.fold(new.len().to_string(), |all, name| all + " " + &name)
    }

    const ALL: &str = "3 ECDAES256 RAES256 ECDCHACHA20 RCHACHA20 ECDAES128 RAES128";

    #[test]
    fn strings_select_as_in_openssl() {
        for (text, expected) in [
            ("HIGH:!aNULL:!MD5", ALL),
            ("!MD5:!RC4:!CHACHA20", "3 ECDAES256 RAES256 ECDAES128 RAES128"),
            (
                "ECDHE+AESGCM:ECDHE+CHACHA20",
                "3 ECDAES256 RAES256 ECDAES128 RAES128 ECDCHACHA20 RCHACHA20",
            ),
            ("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-SHA", "3 RAES128"),
            ("AES128:AES256:@STRENGTH", "3 ECDAES256 RAES256 ECDAES128 RAES128"),
            ("ALL:+AES256:-CHACHA20", "3 ECDAES128 RAES128 ECDAES256 RAES256"),
            ("!AES:ALL", "3 ECDCHACHA20 RCHACHA20"),
            ("HIGH:!ECDHE", "3"),
            ("RC4-MD5:kRSA", ALL),
            ("", ALL),
            ("TLS_AES_128_GCM_SHA256", "1"),
            ("TLS_AES_128_GCM_SHA256:aRSA+AES256", "1 RAES256"),
            ("legacy", ALL),
        ] {
            assert_eq!(selected(text), expected, "{text}");
        }
    }

    #[test]
    fn every_suite_is_known() {
        assert!(ALL_CIPHER_SUITES.iter().all(|suite| of(suite.suite()).is_some()));
        assert_eq!(ALL_CIPHER_SUITES.len(), OLD.len() + NEW.len());
    }

    #[test]
    fn damaged_strings_select_something_or_nothing() {
        let mut random = Random::new(3);
        for _ in 0..10_000 {
            let text = random.damaged(b"HIGH:!aNULL:ECDHE+AESGCM,+AES256 -CHACHA20:@STRENGTH");
            assert!(select(&text).len() <= ALL_CIPHER_SUITES.len());
        }
    }
}
