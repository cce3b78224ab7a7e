//! The tests of the network programs, one module per program.

mod server;

mod addcr;
mod argv0;
mod delcr;
mod fixcrio;
mod recordio;
#[path = "tcp-env.rs"]
mod tcp_env;
mod tcpaccess;
mod tcpclient;
mod tcpserver;
