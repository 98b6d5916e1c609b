//! The audit log's hash chain: each entry's hash covers the entry and the hash of the previous one.

use promox_kernel::sha256;

use crate::records::AuditEntry;

/// The hash that precedes the first entry.
pub(crate) const ROOT: [u8; 32] = [0; 32];

/// The hash that an entry must have. Every text is prefixed with its length, so that text cannot be moved between
/// fields without changing the hash.
pub(crate) fn hash(entry: &AuditEntry) -> Vec<u8> {
    let numbers = [entry.id, i64::from(entry.source), entry.position, entry.at.0].map(i64::to_be_bytes);
    let texts = [&entry.actor, &entry.action, &entry.subject, &entry.before, &entry.after];
    let lengths = texts.map(|text| (text.len() as u64).to_be_bytes());
    let texts = lengths.iter().zip(texts).flat_map(|(length, text)| [&length[..], text.as_bytes()]);
    sha256([&entry.previous_hash[..]].into_iter().chain(numbers.iter().map(|number| &number[..])).chain(texts)).to_vec()
}

/// The bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}
