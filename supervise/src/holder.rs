//! Who holds a lock: the supervise of a service that this process has not started.

use crate::folder::{Folder, Identity};
use base::sys::wait::{self, Pid};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

/// The supervise that holds a service's lock.
pub struct Holder {
    /// Its process number.
    pub pid: Pid,
    /// Readable when it has ended.
    pub end: OwnedFd,
}

/// Finds it among the holders of `supervise/lock` whose working directory is the service's.
/// `None` if the kernel does not tell.
pub fn holder(folder: &Folder, identity: Identity) -> Option<Holder> {
    let inode = fs::metadata(folder.supervise("lock")).ok()?.ino();
    let locks = fs::read("/proc/locks").ok()?;
    let pid = flocks(&locks)
        .filter(|(_, of)| *of == inode)
        .map(|(pid, _)| pid)
        .find(|pid| works_in(*pid, identity))?;
    let end = wait::end_of(pid).ok()?;
    // Looked at again: the number may have gone to another process before `end` was there.
    works_in(pid, identity).then_some(Holder { pid, end })
}

/// The process's working directory is this one.
pub fn works_in(pid: Pid, identity: Identity) -> bool {
    Identity::at(format!("/proc/{pid}/cwd")) == Some(identity)
}

/// Process and inode of each exclusive flock in the text of /proc/locks:
/// `1: FLOCK  ADVISORY  WRITE 5271 fe:00:131077 0 EOF`.
fn flocks(text: &[u8]) -> impl Iterator<Item = (Pid, u64)> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let words = str::from_utf8(line).ok()?;
        let mut words = words.split_ascii_whitespace().skip(1);
        if words.next()? != "FLOCK" || words.nth(1)? != "WRITE" {
            return None;
        }
        let pid = words.next()?.parse().ok().filter(|pid| *pid > 0)?;
        let inode = words.next()?.split(':').nth(2)?.parse().ok()?;
        Some((pid, inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 80 fe:00:1 0 EOF
2: FLOCK  ADVISORY  WRITE 5271 fe:00:131077 0 EOF
2: -> FLOCK  ADVISORY  WRITE 5272 fe:00:131077 0 EOF
3: FLOCK  ADVISORY  READ 81 fe:00:2 0 EOF
4: FLOCK  ADVISORY  WRITE 0 fe:00:3 0 EOF
";

    #[test]
    fn only_holders_of_exclusive_flocks_count() {
        assert_eq!(flocks(LOCKS.as_bytes()).collect::<Vec<_>>(), [(5271, 131077)]);
    }

    #[test]
    fn damaged_text_gives_fewer_locks_and_no_harm() {
        let mut seed = 7u64;
        for _ in 0..10_000 {
            let mut text = LOCKS.as_bytes().to_vec();
            for _ in 0..4 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (seed >> 33) as usize % text.len();
                text[at] = (seed >> 24) as u8;
            }
            assert!(flocks(&text).count() <= 4);
        }
    }
}
