//! The tests of the network programs, one module per program.

mod answering;
mod certificates;
mod crowd;
mod proxies;
mod server;
mod tls_server;

mod addcr;
mod argv0;
#[path = "date@.rs"]
mod date_at;
mod delcr;
#[path = "finger@.rs"]
mod finger_at;
mod fixcrio;
#[path = "http@.rs"]
mod http_at;
#[path = "https@.rs"]
mod https_at;
mod mconnect;
#[path = "mconnect-io.rs"]
mod mconnect_io;
mod proxyin;
mod proxyout;
mod rblsmtpd;
mod recordio;
mod sslcat;
mod sslclient;
mod sslconnect;
mod sslserver;
#[path = "tcp-env.rs"]
mod tcp_env;
mod tcpaccess;
mod tcpcat;
mod tcpclient;
mod tcplisten;
mod tcplog;
mod tcpserver;
mod tlsc;
mod tlsd;
mod tlsio;
mod unixcat;
mod unixclient;
mod unixserver;
#[path = "who@.rs"]
mod who_at;
