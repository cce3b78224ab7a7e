//! Words before a program: whatever fails, it runs with all that they say, or not at all. What runs
//! here tells of itself all that they may change.

use crate::example::{Input, Row, example};

const OBSERVER: [&str; 2] = ["/bin/sh", "observe"];

/// A word before the observer.
const WORD: Row = Row {
    words: &[],
    behind: &OBSERVER,
    env: &[("GONE", "not yet")],
    input: Input::File("nothing"),
    between: false,
    admits: &[],
    failed: 111,
    in_vain: false,
};

example!(envdir_sets_all_variables, Row { words: &["envdir", "env"], ..WORD });
example!(envuidgid_sets_both_numbers, Row { words: &["envuidgid", "nobody"], ..WORD });
example!(setlock_holds_the_lock, Row { words: &["setlock", "lock"], ..WORD });
example!(
    softlimit_sets_all_limits,
    Row {
        words: &["softlimit", "-o", "50", "-c", "0", "-f", "1000000", "-m", "900000000"],
        ..WORD
    }
);
example!(pgrphack_makes_a_session, Row { words: &["pgrphack"], ..WORD });
example!(
    argv0_renames,
    Row { words: &["argv0", "/bin/sh", "renamed"], behind: &["observe"], ..WORD }
);
example!(
    fghack_waits_for_all_that_is_left,
    Row { words: &["fghack"], behind: &["/bin/sh", "-c", "(echo late) & exit 0"], ..WORD }
);
example!(setuidgid_becomes_the_user, Row { words: &["setuidgid", "nobody"], ..WORD });
example!(
    tcp_env_describes_the_connection,
    Row {
        words: &["tcp-env", "-R"],
        // no name server is there
        env: &[("DNSCACHEIP", "127.0.0.1")],
        input: Input::Connection(""),
        ..WORD
    }
);
example!(
    tcpaccess_sets_what_the_rule_says,
    Row { words: &["tcpaccess", "rules.cdb"], env: &[("TCPREMOTEIP", "192.0.2.1")], ..WORD }
);
example!(
    tcpaccess_lets_nobody_in_who_is_denied,
    Row { words: &["tcpaccess", "rules.cdb"], env: &[("TCPREMOTEIP", "192.0.2.2")], ..WORD }
);
example!(
    proxyin_says_who_calls,
    Row {
        words: &["proxyin"],
        env: &[("TCPREMOTEIP", "192.0.2.9")],
        input: Input::File("header"),
        ..WORD
    }
);
example!(
    proxyin_believes_only_who_is_trusted,
    Row {
        words: &["proxyin", "-x", "rules.cdb"],
        env: &[("TCPREMOTEIP", "192.0.2.9")],
        input: Input::File("header"),
        ..WORD
    }
);
example!(
    rblsmtpd_lets_in_whom_it_is_told_to,
    Row { words: &["rblsmtpd"], env: &[("TCPREMOTEIP", "192.0.2.1"), ("RBLSMTPD", "")], ..WORD }
);
example!(
    rblsmtpd_refuses_whom_it_is_told_to,
    Row {
        words: &["rblsmtpd"],
        env: &[("TCPREMOTEIP", "192.0.2.1"), ("RBLSMTPD", "-no")],
        input: Input::Connection("HELO b.example\r\nMAIL FROM:<>\r\nQUIT\r\n"),
        ..WORD
    }
);
example!(
    confine_takes_all_rights,
    Row { words: &["confine", "-r", "/", "-x", "/usr", "-w", "/dev", "-n", "net"], ..WORD }
);
example!(
    svneed_runs_once_all_are_ready,
    Row { words: &["svneed", "services/ready", "--"], ..WORD }
);
example!(
    svneed_runs_nothing_before,
    Row {
        words: &["svneed", "-t", "0", "services/ready", "services/early", "--"],
        in_vain: true,
        ..WORD
    }
);
example!(unixclient_hands_over_all, Row { words: &["unixclient", "socket"], failed: 1, ..WORD });
example!(
    tcpclient_hands_over_all,
    Row {
        words: &["tcpclient", "127.0.0.1", "PORT"],
        // no name server is there
        env: &[("DNSCACHEIP", "127.0.0.1")],
        ..WORD
    }
);
