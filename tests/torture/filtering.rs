//! Programs that print what they read, or give it to another program: it is all there if they say
//! so, and what is there is never anything else. Conditions of .qmail files answer as they should,
//! or that they cannot.

use crate::example::{Input, Row, example};

/// A filter of some lines.
const FILTER: Row = Row {
    words: &[],
    behind: &[],
    env: &[],
    input: Input::File("lines"),
    between: false,
    admits: &[],
    failed: 111,
    in_vain: false,
};

const LINES: [(&str, &str); 3] =
    [("UFLINE", "From me\n"), ("RPLINE", "Return-Path: <me>\n"), ("DTLINE", "Delivered-To: you\n")];

example!(addcr_passes_all, Row { words: &["addcr"], ..FILTER });
example!(delcr_passes_all, Row { words: &["delcr"], input: Input::File("crlf"), ..FILTER });
example!(tai64n_passes_all, Row { words: &["tai64n"], ..FILTER });
example!(tai64nlocal_passes_all, Row { words: &["tai64nlocal"], ..FILTER });
example!(
    fixcrio_passes_all,
    Row {
        words: &["fixcrio"],
        behind: &["/bin/cat"],
        input: Input::File("few"),
        between: true,
        ..FILTER
    }
);
example!(
    recordio_passes_all,
    Row {
        words: &["recordio"],
        behind: &["/bin/cat"],
        input: Input::File("few"),
        between: true,
        ..FILTER
    }
);
example!(
    preline_passes_all,
    Row { words: &["preline"], behind: &["/bin/cat"], env: &LINES, ..FILTER }
);
example!(tcprulesdump_prints_all, Row { words: &["tcprulesdump", "rules.cdb"], ..FILTER });
example!(
    tcprulescheck_prints_all,
    Row { words: &["tcprulescheck", "rules.cdb"], env: &[("TCPREMOTEIP", "192.0.2.1")], ..FILTER }
);
example!(
    printforward_prints_all,
    Row { words: &["printforward"], input: Input::File("table.cdb"), ..FILTER }
);
example!(
    printmaillist_prints_all,
    Row { words: &["printmaillist"], input: Input::File("list.bin"), ..FILTER }
);
example!(
    qmail_pw2u_prints_all,
    Row { words: &["qmail-pw2u", "-H"], input: Input::File("passwd"), ..FILTER }
);
example!(multicat_prints_all, Row { words: &["multicat", "log"], ..FILTER });
example!(
    bouncesaying_bounces,
    Row { words: &["bouncesaying", "no"], behind: &["/bin/true"], ..FILTER }
);
example!(
    bouncesaying_bounces_nothing_else,
    Row { words: &["bouncesaying", "no"], behind: &["/bin/false"], ..FILTER }
);
example!(except_says_no, Row { words: &["except"], behind: &["/bin/true"], ..FILTER });
example!(except_says_yes, Row { words: &["except"], behind: &["/bin/false"], ..FILTER });
example!(
    qmail_qread_prints_all,
    Row { words: &["qmail-qread"], admits: &["fatal: ", "warning: "], ..FILTER }
);
example!(qmail_qstat_counts_all, Row { words: &["qmail-qstat"], ..FILTER });
example!(
    qmail_showctl_prints_all,
    Row { words: &["qmail-showctl"], admits: &["Oops! ", "unknown"], ..FILTER }
);
example!(svok_finds_a_supervise, Row { words: &["svok", "services/ready"], ..FILTER });
example!(svok_finds_none, Row { words: &["svok", "env"], ..FILTER });
example!(
    svstat_prints_all,
    Row {
        words: &["svstat", "services/ready", "services/early", "env"],
        admits: &["unable to "],
        ..FILTER
    }
);
example!(svup_finds_a_service_up, Row { words: &["svup", "services/ready"], ..FILTER });
example!(svup_finds_none, Row { words: &["svup", "env"], ..FILTER });
example!(svls_prints_all, Row { words: &["svls", "services"], admits: &["unknown"], ..FILTER });
example!(svwait_waits_for_the_ready, Row { words: &["svwait", "-U", "services/ready"], ..FILTER });
example!(
    svwait_waits_for_who_is_not,
    Row { words: &["svwait", "-U", "-t", "0", "services/ready", "services/early"], ..FILTER }
);
