//! Format of the journal's files: frames of length, CRC-32 and payload. A payload begins with its
//! kind and its id. JSON follows for an open request; for a record, the length of its row, the row
//! in postcard's encoding and the rest as JSON follow, so that importing a record parses no JSON.

use anyrouter_core::{
    ids::RequestId,
    usage::{Opening, Record, Row, RowFault},
};

/// Size of the length and the checksum before each payload, in bytes.
const HEADER: usize = 8;
/// Maximum length of a payload, in bytes; a larger length is damage.
const LARGEST: usize = 1 << 20;

/// Size of the padding, which is larger than most records, in bytes.
const PADDING: usize = 4096;

const OPEN: u8 = b'o';
/// Kind of a record. A row's encoding has no names: a change of [`Row`] needs another letter here.
const RECORD: u8 = b'R';
/// Kind of a record that versions before 0.2 wrote.
const OLD_RECORD: u8 = b'r';

/// A complete frame, ready to be written.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// Creates the frame of an open request.
    pub(super) fn open(opening: &Opening) -> serde_json::Result<Self> {
        Self::new(OPEN, opening.id, |out| serde_json::to_writer(out, opening))
    }

    /// Creates the frame of a request that has ended.
    pub(super) fn record(record: &Record) -> serde_json::Result<Self> {
        Self::new(RECORD, record.id, |out| {
            let start = out.len();
            out.extend_from_slice(&[0; 2]);
            *out = postcard::to_extend(&record.row(), std::mem::take(out))
                .map_err(serde::ser::Error::custom)?;
            let length = u16::try_from(out.len() - start - 2).map_err(serde::ser::Error::custom)?;
            for (to, from) in out.iter_mut().skip(start).zip(length.to_le_bytes()) {
                *to = from;
            }
            record.write_rest(out)
        })
    }

    /// Creates a frame without content, which tests whether a full disk accepts records again.
    /// Readers skip it.
    pub(super) fn padding() -> serde_json::Result<Self> {
        let id =
            RequestId::from_bytes(&[0; 12]).ok_or_else(|| serde::de::Error::custom("no id"))?;
        Self::new(OPEN, id, |out| {
            out.resize(out.len() + PADDING, b' ');
            Ok(())
        })
    }

    fn new(
        kind: u8,
        id: RequestId,
        write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> serde_json::Result<Self> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(&[0; HEADER]);
        out.push(kind);
        out.extend_from_slice(id.as_bytes());
        write(&mut out)?;
        let payload = out.get(HEADER..).unwrap_or_default();
        let length = (payload.len() as u32).to_le_bytes();
        let checksum = crc32fast::hash(payload).to_le_bytes();
        for (to, from) in out.iter_mut().zip(length.iter().chain(&checksum)) {
            *to = *from;
        }
        Ok(Self(out))
    }

    /// Returns the bytes of the frame.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An entry, decoded from a frame.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// An open request.
    Open(OpenEntry<'a>),
    /// A request that has ended.
    Record(RecordEntry<'a>),
    /// A request that has ended, as versions before 0.2 wrote it.
    OldRecord(&'a str),
}

/// Entry of an open request.
#[derive(Debug)]
pub(super) struct OpenEntry<'a> {
    /// Id of the request.
    pub id: RequestId,
    json: &'a [u8],
}

impl OpenEntry<'_> {
    /// Decodes the data of the open request.
    pub(super) fn opening(&self) -> serde_json::Result<Opening> {
        serde_json::from_slice(self.json)
    }
}

/// Entry of a request that has ended.
#[derive(Debug)]
pub struct RecordEntry<'a> {
    /// Id of the request.
    pub id: RequestId,
    /// Columns of the record.
    pub row: Row<'a>,
    /// Members of the record without a column, as JSON.
    pub rest: &'a str,
}

impl RecordEntry<'_> {
    /// Decodes the record.
    pub fn record(&self) -> Result<Record, RowFault> {
        self.row.record(self.rest)
    }
}

/// Iterates over the complete frames of `bytes`. Skips damaged ranges: after one, a frame counts
/// only if its length, checksum and payload agree.
pub(super) fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries {
        bytes,
        at: 0,
        whole: 0,
    }
}

/// Iterator over the entries of a stretch.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    whole: usize,
}

impl Entries<'_> {
    /// Returns the end of the frames read so far. The data after it may be a frame that is still
    /// being written.
    pub(super) fn whole(&self) -> usize {
        self.whole
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        while let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            let Some((payload, length)) = frame(rest) else {
                self.at += 1;
                continue;
            };
            let damaged = self.at > self.whole;
            let entry = entry(payload);
            if entry.is_none() && damaged {
                // In a damaged range, the start of a frame is a guess, so only a readable entry
                // counts.
                self.at += 1;
                continue;
            }
            self.at += length;
            self.whole = self.at;
            if entry.is_some() {
                return entry;
            }
        }
        None
    }
}

/// Returns the payload of the first frame, and the length of the frame.
fn frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let payload = rest
        .get(..length)
        .filter(|_| (1..=LARGEST).contains(&length))?;
    // Checked first, because a checksum at each byte of a damaged range would be slow.
    if !matches!(payload.first(), Some(&(OPEN | RECORD | OLD_RECORD))) {
        return None;
    }
    (crc32fast::hash(payload) == u32::from_le_bytes(*checksum))
        .then_some((payload, HEADER + length))
}

/// Decodes a payload. Returns `None` if a later version wrote it.
fn entry(payload: &[u8]) -> Option<Entry<'_>> {
    let (kind, rest) = payload.split_first()?;
    let (id, rest) = rest.split_first_chunk::<12>()?;
    let id = RequestId::from_bytes(id)?;
    match *kind {
        OPEN => Some(Entry::Open(OpenEntry { id, json: rest })),
        RECORD => {
            let (length, rest) = rest.split_first_chunk()?;
            let (row, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
            Some(Entry::Record(RecordEntry {
                id,
                row: postcard::from_bytes(row).ok()?,
                rest: std::str::from_utf8(rest).ok()?,
            }))
        }
        OLD_RECORD => {
            // The key, the time and the cost precede the account.
            let (account, rest) = rest.get(32 + 8 + 8..)?.split_first_chunk()?;
            let json = rest.get(usize::from(u16::from_le_bytes(*account))..)?;
            Some(Entry::OldRecord(std::str::from_utf8(json).ok()?))
        }
        _ => None,
    }
}
