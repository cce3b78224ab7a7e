//! What a program is told of a TLS connection: the variables SSL_*, with mod_ssl's names.

use super::ciphers;
use super::pem;
use super::x509::{self, COMMON_NAME, Certificate, EMAIL, Name, PARTS};
use rustls::pki_types::CertificateDer;
use rustls::{CommonState, ProtocolVersion};

/// Names and values. Values come from strangers: they hold no control characters.
#[derive(Debug, Default)]
pub struct Facts(Vec<(String, String)>);

/// What the certificate of a client is worth.
pub enum Verified {
    /// None was shown.
    Nothing,
    /// It is good.
    Good,
    /// It is not.
    Bad(String),
}

/// Whether a variable is one of those that tell of a TLS connection. What a server has inherited
/// of them is not true of its connection.
pub fn is_fact(name: &[u8]) -> bool {
    const STARTS: [&str; 7] = [
        "SSL_CIPHER",
        "SSL_CLIENT_",
        "SSL_PROTOCOL",
        "SSL_SERVER_",
        "SSL_SESSION_ID",
        "SSL_TLS_SNI_",
        "SSL_VERSION_",
    ];
    STARTS.iter().any(|start| name.starts_with(start.as_bytes()))
}

impl Facts {
    /// Names and values, in the order in which they were found out.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&name[..], &value[..]))
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Adds a fact.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// What is always told: version, cipher, the name that the client asked for.
    pub fn add_connection(&mut self, tls: &CommonState, asked: Option<&str>) {
        self.add("SSL_PROTOCOL", version(tls));
        let suite = tls.negotiated_cipher_suite().and_then(|suite| ciphers::of(suite.suite()));
        self.add("SSL_CIPHER", suite.map_or("", |suite| suite.name));
        if let Some(name) = asked {
            self.add("SSL_TLS_SNI_SERVERNAME", safe(name));
        }
    }

    /// The rest of what the connection itself tells.
    pub fn add_details(&mut self, tls: &CommonState) {
        let suite = tls.negotiated_cipher_suite().and_then(|suite| ciphers::of(suite.suite()));
        let bits = suite.map_or(0, |suite| suite.bits).to_string();
        self.add("SSL_CIPHER_EXPORT", "false");
        self.add("SSL_CIPHER_USEKEYSIZE", &*bits);
        self.add("SSL_CIPHER_ALGKEYSIZE", bits);
        self.add("SSL_VERSION_INTERFACE", "ucspi-ssl");
        self.add("SSL_VERSION_LIBRARY", "rustls/0.23");
    }

    /// Whether a client's certificate is good, and whose it is if it is. Nothing is told of one
    /// that is not good: somebody might believe it.
    pub fn add_client(&mut self, chain: &[CertificateDer], verified: &Verified, all: bool) {
        match verified {
            Verified::Nothing => {
                if all {
                    self.add("SSL_CLIENT_VERIFY", "NONE");
                }
            }
            Verified::Bad(why) => self.add("SSL_CLIENT_VERIFY", format!("FAILED:{}", safe(why))),
            Verified::Good => {
                self.add("SSL_CLIENT_VERIFY", "SUCCESS");
                if all {
                    return self.add_chain("CLIENT", chain);
                }
                if let Some(read) = chain.first().and_then(|own| x509::read(own)) {
                    self.add("SSL_CLIENT_S_DN", read.subject.line());
                    if let Some(name) = read.subject.part(COMMON_NAME) {
                        self.add("SSL_CLIENT_S_DN_CN", safe(&name));
                    }
                }
            }
        }
    }

    /// All that the certificates of one side tell; `whose` is `SERVER` or `CLIENT`.
    pub fn add_chain(&mut self, whose: &str, chain: &[CertificateDer]) {
        let [own, others @ ..] = chain else { return };
        if let Some(read) = x509::read(own) {
            self.add_certificate(&format!("SSL_{whose}_"), &read);
        }
        self.add(format!("SSL_{whose}_CERT"), pem::text(own));
        for (at, other) in others.iter().enumerate() {
            self.add(format!("SSL_{whose}_CERT_CHAIN_{at}"), pem::text(other));
        }
    }

    fn add_certificate(&mut self, start: &str, read: &Certificate) {
        let mut add = |name: &str, value: String| self.add(format!("{start}{name}"), value);
        add("M_VERSION", read.version.to_string());
        add("M_SERIAL", read.serial.iter().map(|byte| format!("{byte:02X}")).collect());
        add("V_START", read.start.shown().unwrap_or_default());
        add("V_END", read.end.shown().unwrap_or_default());
        add("A_SIG", x509::algorithm(read.signature));
        add("A_KEY", x509::algorithm(read.key));
        for (at, mail) in read.mail.iter().enumerate() {
            add(&format!("SAN_Email_{at}"), safe(&String::from_utf8_lossy(mail)));
        }
        self.add_name(&format!("{start}S_DN"), read.subject);
        self.add_name(&format!("{start}I_DN"), read.issuer);
    }

    fn add_name(&mut self, start: &str, name: Name) {
        self.add(start, name.line());
        for (word, kind) in PARTS.into_iter().chain([("Email", EMAIL)]) {
            if let Some(text) = name.part(kind) {
                self.add(format!("{start}_{word}"), safe(&text));
            }
        }
    }
}

/// As OpenSSL calls it.
fn version(tls: &CommonState) -> &'static str {
    match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "",
    }
}

/// A stranger's words without control characters: a newline would end a line, a NUL the value.
fn safe(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::testing;

    #[test]
    fn a_good_certificate_is_told_of_and_a_bad_one_is_not() {
        let pem = testing::pem();
        let tell = |verified, all| {
            let mut facts = Facts::default();
            facts.add_client(&pem.certificates, &verified, all);
            facts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let short = tell(Verified::Good, false);
        let names = ["SSL_CLIENT_S_DN=/CN=mail.example", "SSL_CLIENT_S_DN_CN=mail.example"];
        assert_eq!(short, [&["SSL_CLIENT_VERIFY=SUCCESS"], &names[..]].concat());
        let long = tell(Verified::Good, true);
        let told = ["SSL_CLIENT_M_VERSION=3", "SSL_CLIENT_V_END=Jan  1 00:00:00 2120 GMT"];
        assert!(names.iter().chain(&told).all(|fact| long.iter().any(|told| told == fact)));
        assert!(
            testing::PEM
                .starts_with(long.iter().find_map(|f| f.strip_prefix("SSL_CLIENT_CERT=")).unwrap())
        );
        let bad = tell(Verified::Bad("un\0known".into()), true);
        assert_eq!(bad, ["SSL_CLIENT_VERIFY=FAILED:un?known"]);
        assert_eq!(tell(Verified::Nothing, false), [""; 0]);
        assert!(long.iter().all(|fact| is_fact(fact.as_bytes())));
        assert!(!is_fact(b"SSL_CERT_FILE") && !is_fact(b"TCPREMOTEIP"));
    }
}
