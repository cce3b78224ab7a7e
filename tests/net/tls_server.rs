//! Servers of OpenSSL that speak TLS, as Python has it, for clients to be tested on.

use crate::certificates::{Authority, ECDSA, RSA, authority};
use std::process::Command;
use std::sync::LazyLock;
use tests::{Running, start};

/// For each connection it prints what has been agreed on, reads until the client has said all,
/// and answers. `tell`: how much that was, `echo`: all of it, `first`: a line before it reads,
/// `line`: each line at once, until QUIT, `web`: a page with what comes up to an empty line,
/// `endless`: one with a line of 20 megabytes.
const SERVER: &str = r#"
import socket, ssl, sys
own, what = sys.argv[1:3]
options = dict(word.split('=') for word in sys.argv[3:])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(own + '.pem', own + '.key')
asked = None
def note(connection, name, context):
    global asked
    asked = name
context.sni_callback = note
if 'version' in options:
    version = getattr(ssl.TLSVersion, options['version'])
    context.minimum_version = context.maximum_version = version
if 'ca' in options:
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(options['ca'])
listener = socket.create_server(('127.0.0.1', 0))
print(listener.getsockname()[1], flush=True)
while True:
    plain, _ = listener.accept()
    plain.settimeout(20)
    asked = None
    try:
        stream = context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
        who = stream.getpeercert() and dict(part[0] for part in stream.getpeercert()['subject'])
        print(stream.version(), asked, (who or {}).get('commonName'), flush=True)
        if what == 'first':
            stream.sendall(b'hello\r\n')
        if what == 'line':
            for line in stream.makefile('rb'):
                stream.sendall(line)
                if line == b'QUIT\r\n':
                    break
        if what == 'web':
            lines = iter(stream.makefile('rb').readline, b'\r\n')
            stream.sendall(b'HTTP/1.0 200 OK\r\n\r\n' + b''.join(lines))
        if what == 'endless':
            stream.sendall(b'HTTP/1.0 200 OK\r\n\r\n' + b'x' * (20 << 20))
        said = bytearray()
        while what in ('tell', 'echo', 'first') and (piece := stream.recv(65536)):
            said += piece
        if what == 'tell':
            stream.sendall(b'%d bytes\n' % len(said))
        if what == 'echo':
            stream.sendall(said)
        stream.unwrap()
    except OSError as why:
        print('failed', getattr(why, 'reason', why), flush=True)
    finally:
        plain.close()
"#;

/// A server, and where it listens on 127.0.0.1.
pub struct TlsServer {
    pub running: Running,
    pub port: String,
}

/// Starts [`SERVER`] with `NAME.pem` and `NAME.key` of [`known`].
#[track_caller]
pub fn tls_server(name: &str, what: &str, options: &[&str]) -> TlsServer {
    let mut python = Command::new("python3");
    python.args(["-c", SERVER, name, what]).args(options).current_dir(known().place.path());
    let running = start(&mut python);
    let port = running.wait_out("\n").trim().to_owned();
    TlsServer { running, port }
}

/// An authority that has issued `ecdsa` and `rsa` for localhost and 127.0.0.1, `named` without
/// alternative names, `wild`, `expired`, `below` by way of another authority, `client`; and
/// `self`, which nobody has issued.
pub fn known() -> &'static Authority {
    static KNOWN: LazyLock<Authority> = LazyLock::new(|| {
        let authority = authority();
        let both = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        let here = ["-subj", "/O=Example/CN=elsewhere", "-addext", both];
        authority.signed("ecdsa", ECDSA, &here).signed("rsa", RSA, &here);
        authority.signed("named", ECDSA, &["-subj", "/CN=Mail.Localhost"]);
        authority.issue("wild", ECDSA, "*.example.localhost").issue("client", ECDSA, "a client");
        authority.below();
        authority.expired();
        let alone = ["req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", "self.key"];
        authority.openssl(&[&alone[..], &["-out", "self.pem"], &here].concat());
        authority
    });
    &KNOWN
}

impl Authority {
    /// `below.pem`, for localhost, and with it that of the authority between.
    fn below(&self) {
        let authority = "basicConstraints=critical,CA:TRUE";
        let between = ["req", "-x509", "-nodes", "-newkey"];
        let issued = ["-subj", "/CN=Between", "-addext", authority, "-CA", "ca.pem"];
        let files = ["-CAkey", "ca.key", "-keyout", "between.key", "-out", "between.pem"];
        self.openssl(&[&between, ECDSA, &issued, &files].concat());
        let leaf = ["-subj", "/CN=x", "-addext", "subjectAltName=DNS:localhost"];
        let more = ["-addext", "basicConstraints=CA:FALSE", "-CA", "between.pem"];
        let files = ["-CAkey", "between.key", "-keyout", "below.key", "-out", "leaf.pem"];
        self.openssl(&[&between, ECDSA, &leaf, &more, &files].concat());
        let chain = self.place.text("leaf.pem") + &self.place.text("between.pem");
        self.place.write("below.pem", &chain);
    }

    /// `expired.pem`, for localhost, of a day in 2020.
    fn expired(&self) {
        let config = "[ca]\ndefault_ca=here\n[here]\ndatabase=index\nserial=serial\n\
            new_certs_dir=.\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n\
            [more]\nsubjectAltName=DNS:localhost\n";
        self.place.write("ca.conf", config).write("index", "").write("serial", "01\n");
        let request = ["req", "-new", "-nodes", "-newkey"];
        let files = ["-keyout", "expired.key", "-out", "expired.csr", "-subj", "/CN=x"];
        self.openssl(&[&request, ECDSA, &files].concat());
        let ca = ["ca", "-batch", "-config", "ca.conf", "-cert", "ca.pem", "-keyfile", "ca.key"];
        let files = ["-in", "expired.csr", "-out", "expired.pem", "-extensions", "more"];
        let dates = ["-startdate", "200101000000Z", "-enddate", "200102000000Z"];
        self.openssl(&[&ca[..], &files, &dates].concat());
    }
}
