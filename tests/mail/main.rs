//! The tests of the mail programs, one module per program.

mod installation;
mod mailbox;
mod netstrings;
mod sending;
mod site;

mod accidents;
mod accounts;
mod big_todo;
mod boot;
mod bounces;
mod bouncesaying;
mod checkpassword;
mod condredirect;
mod config;
#[path = "config-fast.rs"]
mod config_fast;
mod datemail;
mod deliveries;
#[path = "dot-forward.rs"]
mod dot_forward;
mod elq;
mod except;
mod fastforward;
mod first_tries;
mod forward;
mod home;
mod instcheck;
mod maildir2mbox;
mod maildirmake;
mod maildirwatch;
mod mailsubj;
#[path = "new-inject.rs"]
mod new_inject;
mod newaliases;
mod newinclude;
mod pinq;
mod predate;
mod preline;
mod printforward;
mod printmaillist;
mod qail;
mod qbiff;
#[path = "qmail-clean.rs"]
mod qmail_clean;
#[path = "qmail-getpw.rs"]
mod qmail_getpw;
#[path = "qmail-inject.rs"]
mod qmail_inject;
#[path = "qmail-local.rs"]
mod qmail_local;
#[path = "qmail-lspawn.rs"]
mod qmail_lspawn;
#[path = "qmail-newmrh.rs"]
mod qmail_newmrh;
#[path = "qmail-newu.rs"]
mod qmail_newu;
#[path = "qmail-pop3d.rs"]
mod qmail_pop3d;
#[path = "qmail-popup.rs"]
mod qmail_popup;
#[path = "qmail-pw2u.rs"]
mod qmail_pw2u;
#[path = "qmail-qcheck.rs"]
mod qmail_qcheck;
#[path = "qmail-qmqpc.rs"]
mod qmail_qmqpc;
#[path = "qmail-qmqpd.rs"]
mod qmail_qmqpd;
#[path = "qmail-qmtpd.rs"]
mod qmail_qmtpd;
#[path = "qmail-qread.rs"]
mod qmail_qread;
#[path = "qmail-qstat.rs"]
mod qmail_qstat;
#[path = "qmail-queue.rs"]
mod qmail_queue;
#[path = "qmail-remote.rs"]
mod qmail_remote;
#[path = "qmail-rspawn.rs"]
mod qmail_rspawn;
#[path = "qmail-send.rs"]
mod qmail_send;
#[path = "qmail-showctl.rs"]
mod qmail_showctl;
#[path = "qmail-smtpd.rs"]
mod qmail_smtpd;
#[path = "qmail-start.rs"]
mod qmail_start;
#[path = "qmail-tcpok.rs"]
mod qmail_tcpok;
#[path = "qmail-tcpto.rs"]
mod qmail_tcpto;
mod qreceipt;
mod reading;
mod reuse;
mod runners;
mod sendmail;
mod setforward;
mod setmaillist;
mod splogger;
mod starttls;
mod staying;
mod storm;
