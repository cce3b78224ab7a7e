use crate::server::{inetd, rules};
use tests::{LIMIT, Scratch, dns, fed, program, ran, scratch};

type Ran = (Option<i32>, String, String);

const USAGE: &str = "tcpaccess: usage: tcpaccess [ -hHpPvX ] [ -l localname ] rules.cdb program\n";

/// Runs `tcpaccess WORDS` with these variables; `PID` stands for its process number.
fn access(place: &Scratch, variables: &[(&str, &str)], words: &[&str]) -> Ran {
    let mut command = program("tcpaccess");
    command.current_dir(place.path()).args(words).envs(variables.iter().copied());
    let (code, out, err) = ran(&fed(&mut command, ""));
    let words = err.split(' ').enumerate();
    let number = |word: &str| word.parse::<u32>().is_ok();
    let err = words.map(|(at, word)| if at == 2 && number(word) { "PID" } else { word });
    (code, out, err.collect::<Vec<_>>().join(" "))
}

#[test]
fn wrong_usage_is_shown() {
    let place = scratch();
    for words in [&[][..], &["-v"], &["rules.cdb"]] {
        assert_eq!(access(&place, &[], words), (Some(100), String::new(), USAGE.into()));
    }
    let illegal = format!("tcpaccess: illegal option -- Z\n{USAGE}");
    assert_eq!(access(&place, &[], &["-Z"]), (Some(100), String::new(), illegal));
}

#[test]
fn allowed_connections_get_their_variables() {
    let (place, _) = rules("1.2.3.4:allow,RULE=\"a\"\n=you.example:allow,RULE=\"b\"\n:deny\n");
    let show = ["rules.cdb", "sh", "-c", "echo $RULE; exit 7"];
    let allowed = |variables: &[(&str, &str)]| access(&place, variables, &show);
    let with = |rule: &str| (Some(7), format!("{rule}\n"), String::new());
    assert_eq!(allowed(&[("TCPREMOTEIP", "1.2.3.4")]), with("a"));
    assert_eq!(allowed(&[("TCPREMOTEIP", "::ffff:1.2.3.4")]), with("a"));
    assert_eq!(allowed(&[("TCPREMOTEIP", "9.9.9.9"), ("TCPREMOTEHOST", "you.example")]), with("b"));
}

#[test]
fn denied_connections_end_without_a_word() {
    let (place, _) = rules("jo@1.2.3.4:allow\n:deny,RULE=\"x\"\n");
    let words = ["rules.cdb", "echo", "ran"];
    let jo = [("TCPREMOTEIP", "1.2.3.4"), ("TCPREMOTEINFO", "jo")];
    assert_eq!(access(&place, &jo, &words), (Some(0), "ran\n".into(), String::new()));
    assert_eq!(access(&place, &jo[..1], &words), (Some(100), String::new(), String::new()));
}

#[test]
fn decisions_may_be_logged() {
    let (place, _) = rules("1.2.3.4:allow\n:deny\n");
    let connection = |ip| {
        [
            ("TCPLOCALHOST", "me"),
            ("TCPLOCALIP", "5.6.7.8"),
            ("TCPLOCALPORT", "25"),
            ("TCPREMOTEHOST", "y%u"),
            ("TCPREMOTEIP", ip),
            ("TCPREMOTEINFO", "j:o"),
            ("TCPREMOTEPORT", "1024"),
        ]
    };
    let line = "tcpaccess: ok PID me:5.6.7.8:25 y?u:1.2.3.4:j?o:1024\n";
    let ok = access(&place, &connection("1.2.3.4"), &["-v", "rules.cdb", "true"]);
    assert_eq!(ok, (Some(0), String::new(), line.into()));
    let line = "tcpaccess: deny PID other:5.6.7.8:25 y?u:::1:j?o:1024\n";
    let deny = access(&place, &connection("::1"), &["-vl", "other", "rules.cdb", "true"]);
    assert_eq!(deny, (Some(100), String::new(), line.into()));
}

#[test]
fn names_are_looked_up_if_asked() {
    let Some(dns) = dns(&[
        ("127.0.0.1", "PTR", "good.example"),
        ("good.example", "A", "127.0.0.1"),
        ("127.0.0.2", "PTR", "good.example"),
    ]) else {
        return;
    };
    let (place, _) = rules("=good.example:allow\n:allow\n");
    let server = dns.ip.to_string();
    let named = |ip: &str, option: &str| {
        let variables = [("TCPREMOTEIP", ip), ("TCPREMOTEHOST", "old"), ("DNSCACHEIP", &server)];
        let show = "echo ${TCPREMOTEHOST-none} ${TCPLOCALHOST-none}";
        access(&place, &variables, &[option, "-lme", "rules.cdb", "sh", "-c", show]).1
    };
    assert_eq!(named("127.0.0.1", "-H"), "old me\n");
    assert_eq!(named("127.0.0.1", "-h"), "good.example me\n");
    assert_eq!(named("127.0.0.2", "-h"), "good.example me\n");
    assert_eq!(named("127.0.0.1", "-p"), "good.example me\n");
    assert_eq!(named("127.0.0.2", "-p"), "none me\n");
    assert_eq!(named("127.0.0.3", "-h"), "none me\n");
}

#[test]
fn trouble_with_the_rules_is_temporary() {
    let place = scratch();
    place.write("empty", "");
    let said = |what: &str| (Some(111), String::new(), format!("tcpaccess: fatal: {what}\n"));
    let peer = [("TCPREMOTEIP", "1.2.3.4")];
    let missing = said("unable to read missing: file does not exist");
    assert_eq!(access(&place, &peer, &["missing", "true"]), missing);
    let empty = said("unable to read empty: protocol error");
    assert_eq!(access(&place, &peer, &["-X", "empty", "true"]), empty);
    let allowed = (Some(0), "ran\n".into(), String::new());
    assert_eq!(access(&place, &peer, &["-X", "missing", "echo", "ran"]), allowed);
    let program = said("unable to run no-such-program: file does not exist");
    assert_eq!(access(&place, &peer, &["-X", "missing", "no-such-program"]), program);
}

#[test]
fn without_an_address_nobody_comes_in() {
    let (place, _) = rules(":allow\n");
    let said = "tcpaccess: fatal: TCPREMOTEIP is not set\n";
    let result = access(&place, &[], &["rules.cdb", "true"]);
    assert_eq!(result, (Some(100), String::new(), said.into()));
}

#[test]
fn a_socket_tells_where_the_environment_does_not() {
    let (place, _) = rules("127.0.0.1:allow,RULE=\"four\"\n::1:allow,RULE=\"six\"\n:deny\n");
    let seen = |ip: &str, variables: &[(&str, &str)]| {
        let show = "echo $RULE $PROTO $TCPREMOTEIP ${TCPREMOTEHOST-none} >&2";
        let mut command = program("tcpaccess");
        command.current_dir(place.path()).args(["rules.cdb", "sh", "-c", show]);
        let (_visitor, running) = inetd(ip, command.envs(variables.iter().copied()));
        let (code, _, err) = ran(&running.finish(LIMIT));
        (code, err)
    };
    let old = ("TCPREMOTEHOST", "old");
    assert_eq!(seen("127.0.0.1", &[old]), (Some(0), "four TCP 127.0.0.1 none\n".into()));
    assert_eq!(seen("::1", &[]), (Some(0), "six TCP6 ::1 none\n".into()));
    assert_eq!(seen("127.0.0.2", &[]), (Some(100), String::new()));
    assert_eq!(seen("127.0.0.1", &[("TCPREMOTEIP", "1.2.3.4")]), (Some(100), String::new()));
}
