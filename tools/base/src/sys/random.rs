//! Numbers that a stranger cannot guess.

use super::retry;

/// Fills `bytes` with random ones. The system has them ready from boot on, so this cannot fail
/// for a few bytes; on a system without the call they stay as they are.
pub fn fill(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(256) {
        // SAFETY: the kernel writes at most part.len() bytes into the slice. Up to 256 bytes
        // come whole.
        let _ = retry(|| unsafe {
            libc::getrandom(part.as_mut_ptr().cast(), part.len(), 0) as libc::c_int
        });
    }
}

/// A random number.
pub fn number() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// Puts a list into random order.
pub fn shuffle<T>(list: &mut [T]) {
    for end in (1..list.len()).rev() {
        list.swap(end, (number() % (end as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_list_has_the_same_members() {
        let mut list: Vec<u32> = (0..100).collect();
        shuffle(&mut list);
        assert_ne!(list, (0..100).collect::<Vec<u32>>());
        list.sort();
        assert_eq!(list, (0..100).collect::<Vec<u32>>());
    }
}
