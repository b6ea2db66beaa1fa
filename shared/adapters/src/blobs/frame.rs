//! How a chunk lies in a log file: its length, a checksum, then itself. What a crash left of a
//! frame is recognised by either, and is not part of the log.

use sha2::{Digest, Sha256};

/// Bytes in front of each chunk: a length (4, little-endian) and a checksum (8).
pub(super) const HEADER_BYTES: u64 = 12;

/// A frame for a chunk of at most 4 GiB.
pub(super) fn encode(chunk: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(chunk.len()).ok()?;
    let mut frame = Vec::with_capacity(chunk.len() + 12);
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(&checksum(chunk));
    frame.extend_from_slice(chunk);
    Some(frame)
}

/// The chunk of the frame at the beginning of `bytes`, if it is whole.
pub(super) fn decode(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<8>()?;
    let chunk = rest.get(..usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    (checksum(chunk) == *expected).then_some(chunk)
}

/// The first eight bytes of SHA-256, over the length too: a run of zeros is not a frame.
fn checksum(chunk: &[u8]) -> [u8; 8] {
    let len = chunk.len() as u64;
    let hash = Sha256::new().chain_update(len.to_le_bytes()).chain_update(chunk).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_lost_its_end_or_a_bit_is_none() {
        let frame = encode(b"line 1\n").unwrap();
        assert_eq!(decode(&frame), Some(&b"line 1\n"[..]));
        assert_eq!(frame.len() as u64, HEADER_BYTES + 7);
        for len in 0..frame.len() {
            assert_eq!(decode(&frame[..len]), None);
        }
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(decode(&damaged), Some(&b"line 1\n"[..]), "bit {bit}");
        }
        assert_eq!(decode(&[0; 64]), None);
    }
}
