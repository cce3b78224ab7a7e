//! TLS for a network daemon. Another process speaks it, so that this one holds no private key: one
//! that the daemon was started with (UCSPI-TLS), or tlsio, which it starts when a client asks.

use crate::control::Control;
use crate::smtp::session::Tls;
use base::env::Env;
use base::number::decimal;
use base::sys::fd::{self, STDIN, STDOUT};
use base::sys::socket;
use base::sys::spawn::Spawn;
use net::tls::control;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What tlsio is told by files in `control`, if they are there: the variable, the file.
const FILES: [(&str, &str); 4] = [
    ("CERTDIR", "servercerts"),
    ("CCAFILE", "clientca.pem"),
    ("CRLFILE", "clientcrl.pem"),
    ("TLSTICKETKEY", "tlsticketkey"),
];

/// Who can speak TLS.
pub enum Provider {
    /// A process that has the connection too, and waits for a word.
    Ready(Link),
    /// tlsio, with this environment.
    Tlsio(Env),
}

/// What leads to such a process.
pub struct Link {
    /// It hears here that TLS begins, and tells about it.
    control: OwnedFd,
    /// What the client says then.
    read: OwnedFd,
    /// What it is told.
    write: OwnedFd,
}

impl Provider {
    /// The process that $SSLCTLFD, $SSLREADFD and $SSLWRITEFD lead to, if $UCSPITLS says that it
    /// is to be used; else tlsio, if there is a certificate for it. None if there is TLS already.
    pub fn of(env: &mut Env, control: &Control) -> io::Result<Option<Self>> {
        let link = Link::of(env);
        if env.get("SSL_PROTOCOL").is_some() {
            return Ok(None);
        }
        match link.filter(|_| env.get("UCSPITLS").is_some()) {
            Some(link) => Ok(Some(Provider::Ready(link))),
            None => tlsio(env, control).map(|env| env.map(Provider::Tlsio)),
        }
    }

    /// Starts tlsio and waits until it has read its certificate. Nothing is read of the
    /// connection, so that it can go on without TLS.
    pub fn prepare(&mut self) -> io::Result<()> {
        let Provider::Tlsio(env) = self else { return Ok(()) };
        let (plain, their_plain) = socket::pair()?;
        let (control, their_control) = socket::pair()?;
        let words = ["tlsio".into()];
        let tlsio = Spawn::new(&words).env(env).fd(0, STDIN).fd(1, STDOUT);
        let tlsio = tlsio.fd(3, their_plain.as_fd()).fd(4, their_control.as_fd());
        tlsio.last_words("tlsio: fatal: unable to run tlsio".into()).start()?;
        drop((their_plain, their_control));
        if !control::is_ready(&control)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        *self = Provider::Ready(Link { control, read: plain.try_clone()?, write: plain });
        Ok(())
    }

    /// Begins TLS, once it is prepared. Then standard input and output are what is said over it,
    /// and `env` tells of it: SSL_PROTOCOL, SSL_CIPHER and more.
    pub fn begin(self, env: &mut Env) -> io::Result<()> {
        let Provider::Ready(link) = self else { return Err(ErrorKind::NotConnected.into()) };
        fd::write_all(link.control.as_fd(), b"Y")?;
        if !control::listen(link.control.as_fd(), env)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        env.unset("UCSPITLS");
        fd::copy_to(link.read.as_fd(), 0)?;
        fd::copy_to(link.write.as_fd(), 1)
    }
}

impl Link {
    /// What the environment names, if it is open. Programs that are started later get nothing of
    /// it.
    fn of(env: &mut Env) -> Option<Self> {
        let mut take = |name: &str| {
            let number = env.get(name).and_then(decimal);
            env.unset(name);
            let fd = fd::take(number?.try_into().ok()?).ok()?;
            fd::close_at_exec(fd.as_fd()).ok().map(|()| fd)
        };
        let [control, read, write] = ["SSLCTLFD", "SSLREADFD", "SSLWRITEFD"].map(&mut take);
        Some(Link { control: control?, read: read?, write: write? })
    }
}

/// The environment of tlsio. None without a certificate: that of $SSLCERT, of the file that
/// control/smtpcert names, or control/servercert.pem.
fn tlsio(env: &Env, control: &Control) -> io::Result<Option<Env>> {
    let named = match env.get("SSLCERT") {
        Some(name) => Some(name.to_vec()),
        None => control.line("smtpcert")?,
    };
    let named = named.map(|name| PathBuf::from(OsStr::from_bytes(&name)));
    let certificate = named.unwrap_or_else(|| control.path("servercert.pem"));
    if !certificate.exists() {
        return Ok(None);
    }
    let mut env = env.clone();
    env.set("CERTFILE", certificate).unset("KEYFILE");
    for (name, file) in FILES {
        let file = control.path(file);
        env.put(name, file.exists().then_some(file));
    }
    let ciphers = match env.get("TLSCIPHERS") {
        Some(ciphers) => Some(ciphers.to_vec()),
        None => control.line("tlsserverciphers")?,
    };
    env.put("CIPHERS", ciphers.as_deref().map(OsStr::from_bytes));
    Ok(Some(env))
}

/// What a session has to do with TLS where it can be had: what $UCSPITLS, $DISABLETLS and
/// $FORCE_TLS say.
pub fn demanded(env: &Env) -> Tls {
    let is_on = |name: &str| env.get(name).is_some_and(|value| !matches!(value, b"" | b"0"));
    match env.get("UCSPITLS") {
        Some(b"-") => Tls::None,
        _ if is_on("DISABLETLS") => Tls::None,
        Some(b"!") => Tls::First,
        _ if is_on("FORCE_TLS") => Tls::BeforeMail,
        _ => Tls::Offered,
    }
}

/// How a Received line says what a message came by: `SMTP`, or `ESMTPS (CIPHER encrypted)`.
pub fn protocol(env: &Env) -> String {
    if env.get("SSL_PROTOCOL").is_none() {
        return "SMTP".into();
    }
    let cipher = env.get("SSL_CIPHER").unwrap_or_default().iter();
    let safe = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let cipher: String = cipher.filter(safe).map(|byte| char::from(*byte)).collect();
    match &cipher[..] {
        "" => "ESMTPS".into(),
        cipher => format!("ESMTPS ({cipher} encrypted)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Env {
        let mut env = Env::empty();
        for (name, value) in variables {
            env.set(name, value);
        }
        env
    }

    #[test]
    fn variables_forbid_offer_and_demand() {
        let demand = |variables: &[(&str, &str)]| demanded(&of(variables));
        assert_eq!(demand(&[]), Tls::Offered);
        assert_eq!(demand(&[("UCSPITLS", "")]), Tls::Offered);
        assert_eq!(demand(&[("UCSPITLS", "-"), ("FORCE_TLS", "1")]), Tls::None);
        assert_eq!(demand(&[("UCSPITLS", "!"), ("FORCE_TLS", "1")]), Tls::First);
        assert_eq!(demand(&[("UCSPITLS", "!"), ("DISABLETLS", "1")]), Tls::None);
        assert_eq!(demand(&[("FORCE_TLS", "1"), ("DISABLETLS", "0")]), Tls::BeforeMail);
        assert_eq!(demand(&[("FORCE_TLS", ""), ("DISABLETLS", "")]), Tls::Offered);
    }

    #[test]
    fn a_cipher_cannot_forge_a_header() {
        let shown = |cipher: &str| protocol(&of(&[("SSL_PROTOCOL", "x"), ("SSL_CIPHER", cipher)]));
        assert_eq!(protocol(&of(&[("SSL_CIPHER", "x")])), "SMTP");
        assert_eq!(shown("TLS_AES-1"), "ESMTPS (TLS_AES-1 encrypted)");
        assert_eq!(shown("a)\r\nb"), "ESMTPS (ab encrypted)");
        assert_eq!(shown(""), "ESMTPS");
    }
}
