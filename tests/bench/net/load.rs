//! The load: so many visitors at once, each of whom connects, reads until the server closes, and
//! comes again.

use base::sys::{fd, socket};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// What a crowd of visitors has met with.
pub struct Met {
    /// From the first visit to the end of the last.
    pub took: Duration,
    /// Of each visit, from connect to close, sorted.
    pub latencies: Vec<Duration>,
    /// Visits that ended without a byte.
    pub empty: usize,
}

impl Met {
    /// The latency that so many of a hundred visits do not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }
}

/// One visitor.
struct Visitor {
    stream: TcpStream,
    start: Instant,
    heard: bool,
}

/// Makes so many visits, `at_once` at the same time.
pub fn visits(to: SocketAddr, count: usize, at_once: usize) -> Met {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let mut met = Met { took: Duration::ZERO, latencies: Vec::with_capacity(count), empty: 0 };
    let begin = Instant::now();
    let mut visitors: Vec<Visitor> = (0..at_once.min(count)).map(|_| visit(to)).collect();
    let mut left = count - visitors.len();
    visitors.iter().enumerate().for_each(|(number, visitor)| watch(&epoll, visitor, number));
    let mut events = [EpollEvent::empty(); 64];
    while met.latencies.len() < count {
        let ready = epoll.wait(&mut events, EpollTimeout::from(20_000u16)).unwrap();
        assert!(ready > 0, "nothing for 20 seconds, after {} visits", met.latencies.len());
        for event in &events[..ready] {
            let number = event.data() as usize;
            if !visitors[number].listen() {
                continue;
            }
            met.latencies.push(visitors[number].start.elapsed());
            met.empty += usize::from(!visitors[number].heard);
            if left > 0 {
                left -= 1;
                visitors[number] = visit(to);
                watch(&epoll, &visitors[number], number);
            } else {
                epoll.delete(&visitors[number].stream).unwrap();
            }
        }
    }
    met.took = begin.elapsed();
    met.latencies.sort_unstable();
    met
}

fn visit(to: SocketAddr) -> Visitor {
    let start = Instant::now();
    let stream = socket::stream(&to).unwrap();
    fd::set_nonblocking(stream.as_fd(), true).unwrap();
    socket::connect(stream.as_fd(), &to).unwrap();
    Visitor { stream: stream.into(), start, heard: false }
}

fn watch(epoll: &Epoll, visitor: &Visitor, number: usize) {
    epoll.add(&visitor.stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64)).unwrap();
}

impl Visitor {
    /// Reads what is there. Whether that was all.
    fn listen(&mut self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => self.heard = true,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return false,
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                // A refused visitor, whose words may have been lost.
                Err(why) if why.kind() == ErrorKind::ConnectionReset => return true,
                Err(why) => panic!("a visitor could not read: {why}"),
            }
        }
    }
}
