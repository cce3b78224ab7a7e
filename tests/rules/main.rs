//! The tests of the rules programs, one module per program.

mod tcprules;
mod tcprulescheck;
mod tcprulesdump;

use tests::{Scratch, fed, program, ran};

/// A classic rules file of a mail server.
const CLASSIC: &str = "\
# who may relay
127.:allow,RELAYCLIENT=\"\"
10.1.2.37-53:allow,RELAYCLIENT=\"@fix.me\",A=/\"/
10.2-3.:deny
joe@127.0.0.1:allow,WHO='joe'
=.example.com:allow
=bad.example.com:deny
=:allow,NAMED=\"1\"
:deny
";

/// Compiles rules in a scratch folder to a file of this name.
#[track_caller]
fn compile(place: &Scratch, name: &str, rules: impl AsRef<[u8]>) {
    let mut tcprules = program("tcprules");
    tcprules.args([place.join(name), place.join("compile.tmp")]);
    assert_eq!(ran(&fed(&mut tcprules, rules)), (Some(0), String::new(), String::new()));
}
