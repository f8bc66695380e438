//! What the journal's files hold: frames of length, CRC-32 and payload. A payload begins with what
//! an import needs, so that bringing a record into the database parses no JSON: its kind, its id,
//! then for a record the key, the time, the cost and the account.

use anyrouter_core::{
    catalog::Usd,
    ids::RequestId,
    key::KeyHash,
    time::Timestamp,
    usage::{Opening, Record},
};

/// Length and checksum, before each payload.
const HEADER: usize = 8;
/// No payload is larger; a length above this is damage.
const LARGEST: usize = 1 << 20;

/// More than most records have.
const PADDING: usize = 4096;

const OPEN: u8 = b'o';
const RECORD: u8 = b'r';

/// A whole frame, ready to be written.
#[derive(Debug)]
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// That a request is open.
    pub(super) fn open(opening: &Opening) -> serde_json::Result<Self> {
        Self::new(OPEN, opening.id, opening, |_| {})
    }

    /// That a request has ended.
    pub(super) fn record(record: &Record) -> serde_json::Result<Self> {
        Self::new(RECORD, record.id, record, |out| {
            out.extend_from_slice(record.key_hash.as_bytes());
            out.extend_from_slice(&record.created_at.micros().to_le_bytes());
            out.extend_from_slice(&record.cost.unwrap_or_default().pico().to_le_bytes());
            let account = record.account.as_str().as_bytes();
            out.extend_from_slice(&(account.len() as u16).to_le_bytes());
            out.extend_from_slice(account);
        })
    }

    /// What says nothing: it shows whether a disk that was full takes a record again. Readers pass
    /// it over.
    pub(super) fn padding() -> serde_json::Result<Self> {
        let id =
            RequestId::from_bytes(&[0; 12]).ok_or_else(|| serde::de::Error::custom("no id"))?;
        Self::new(OPEN, id, &" ".repeat(PADDING), |_| {})
    }

    fn new(
        kind: u8,
        id: RequestId,
        value: &impl serde::Serialize,
        head: impl FnOnce(&mut Vec<u8>),
    ) -> serde_json::Result<Self> {
        let mut out = Vec::with_capacity(1280);
        out.extend_from_slice(&[0; HEADER]);
        out.push(kind);
        out.extend_from_slice(id.as_bytes());
        head(&mut out);
        serde_json::to_writer(&mut out, value)?;
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
    /// Whose it is.
    pub account: &'a str,
    /// The key that was used.
    pub key_hash: KeyHash,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// What it cost; nothing where that is not known.
    pub cost: Usd,
    /// The record, as JSON.
    pub json: &'a str,
}

impl RecordEntry<'_> {
    /// The record.
    pub fn record(&self) -> serde_json::Result<Record> {
        serde_json::from_str(self.json)
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
    if !matches!(payload.first(), Some(&(OPEN | RECORD))) {
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
            let (key, rest) = rest.split_first_chunk::<32>()?;
            let (created_at, rest) = rest.split_first_chunk()?;
            let (cost, rest) = rest.split_first_chunk()?;
            let (account, rest) = rest.split_first_chunk()?;
            let (account, json) =
                rest.split_at_checked(usize::from(u16::from_le_bytes(*account)))?;
            Some(Entry::Record(RecordEntry {
                id,
                account: std::str::from_utf8(account).ok()?,
                key_hash: KeyHash::from_bytes(key)?,
                created_at: Timestamp::from_micros(u64::from_le_bytes(*created_at)),
                cost: Usd::from_pico(u64::from_le_bytes(*cost)),
                json: std::str::from_utf8(json).ok()?,
            }))
        }
        _ => None,
    }
}
