//! What the journal's files hold: frames of length, CRC-32 and payload. A payload is its kind and
//! its id; then for a request that is open JSON, and for a record the length of its row, the row in
//! postcard's encoding and the rest as JSON, so that bringing a record into the database parses no
//! JSON.

use anyrouter_core::{
    ids::RequestId,
    usage::{Opening, Record, Row, RowFault},
};

/// Length and checksum, before each payload.
const HEADER: usize = 8;
/// No payload is larger; a length above this is damage.
const LARGEST: usize = 1 << 20;

/// More than most records have.
const PADDING: usize = 4096;

const OPEN: u8 = b'o';
/// A row's encoding has no names: a change of [`Row`] needs another letter here.
const RECORD: u8 = b'R';
/// A record as versions before 0.2 wrote it.
const OLD_RECORD: u8 = b'r';

/// A whole frame, ready to be written.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// That a request is open.
    pub(super) fn open(opening: &Opening) -> serde_json::Result<Self> {
        Self::new(OPEN, opening.id, |out| serde_json::to_writer(out, opening))
    }

    /// That a request has ended.
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

    /// What says nothing: it shows whether a disk that was full takes a record again. Readers pass
    /// it over.
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

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An entry, as it stands in a frame.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// A request is open.
    Open(OpenEntry<'a>),
    /// A request has ended.
    Record(RecordEntry<'a>),
    /// A request has ended, as versions before 0.2 wrote it.
    OldRecord(&'a str),
}

/// That a request is open.
#[derive(Debug)]
pub(super) struct OpenEntry<'a> {
    /// Its id.
    pub id: RequestId,
    json: &'a [u8],
}

impl OpenEntry<'_> {
    /// What was known of it.
    pub(super) fn opening(&self) -> serde_json::Result<Opening> {
        serde_json::from_slice(self.json)
    }
}

/// That a request has ended.
#[derive(Debug)]
pub struct RecordEntry<'a> {
    /// Its id.
    pub id: RequestId,
    /// Its columns.
    pub row: Row<'a>,
    /// What is no column, as JSON.
    pub rest: &'a str,
}

impl RecordEntry<'_> {
    /// The record.
    pub fn record(&self) -> Result<Record, RowFault> {
        self.row.record(self.rest)
    }
}

/// Goes through the whole frames of `bytes`. A damaged stretch is passed over: a frame behind it
/// counts again where length, checksum and payload all agree.
pub(super) fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries {
        bytes,
        at: 0,
        whole: 0,
    }
}

/// The entries of a stretch.
#[derive(Debug)]
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    whole: usize,
}

impl Entries<'_> {
    /// How many bytes the frames that were gone through so far end at: what follows may be a frame
    /// that is still being written.
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
                // Where the beginning of a frame is a guess, only an entry that reads counts.
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

/// The first frame's payload, and the length of the frame.
fn frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (checksum, rest) = rest.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let payload = rest
        .get(..length)
        .filter(|_| (1..=LARGEST).contains(&length))?;
    // Looked at first: a checksum at each byte of a damaged stretch would take long.
    if !matches!(payload.first(), Some(&(OPEN | RECORD | OLD_RECORD))) {
        return None;
    }
    (crc32fast::hash(payload) == u32::from_le_bytes(*checksum))
        .then_some((payload, HEADER + length))
}

/// What a payload says; none where it is of a later version.
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
            // The key, the time and the cost stand before the account.
            let (account, rest) = rest.get(32 + 8 + 8..)?.split_first_chunk()?;
            let json = rest.get(usize::from(u16::from_le_bytes(*account))..)?;
            Some(Entry::OldRecord(std::str::from_utf8(json).ok()?))
        }
        _ => None,
    }
}
