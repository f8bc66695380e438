//! Detectors: each examines the hits that concern it and the text around them.
#![allow(clippy::naive_bytecount)] // runs of a few bytes
#![allow(clippy::match_same_arms)] // an arm for each form, as its source has it

mod accounts;
mod assignments;
mod check_digits;
mod cluster;
mod commands;
mod context;
mod cookies;
mod coordinates;
mod credentials;
mod cued_names;
mod dates;
mod documents;
mod east_asian_addresses;
mod email;
mod id_table;
mod ids;
mod listed_names;
mod name_words;
mod names;
mod network;
mod numbers;
mod password_hashes;
mod phone_plans;
mod phones;
mod places;
mod postal;
mod postcodes;
mod tables;
mod unspaced;
mod values;
mod wallets;

use self::cluster::Cluster;
pub(crate) use self::{
    context::{Context, Findings},
    name_words::is_word,
    tables::Tables,
    unspaced::is_unspaced_script,
};
use super::{
    scan::{Hit, TokenKind},
    vocabulary::Meaning,
};

/// Runs all detectors.
pub(crate) fn detect(mut context: Context<'_>, findings: &mut Findings<'_>) {
    let mut cluster = Cluster::default();
    password_hashes::password_hashes(&context, findings);
    cued_names::signature(&context, findings);
    for (i, hit) in context.hits.iter().copied().enumerate() {
        context.current = i;
        match hit.what {
            TokenKind::Digits if hit.start >= findings.numbers_from => {
                findings.numbers_from =
                    numbers::number(&context, findings, &mut cluster, hit.start);
            }
            TokenKind::Digits => {}
            TokenKind::At => {
                email::at_sign(&context, findings, hit.start);
                cued_names::mentioned(&context, findings, hit.start);
            }
            TokenKind::Colon => network::colon(&context, findings, hit.start),
            TokenKind::Prefix(group) => credentials::format(&context, findings, hit.start, group),
            TokenKind::Word(meaning) => word(&context, findings, i, hit, meaning),
        }
    }
}

fn word(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    index: usize,
    hit: Hit,
    meaning: Meaning,
) {
    if meaning.intersects(
        Meaning::PASSWORD
            .union(Meaning::SECRET)
            .union(Meaning::SERVICE)
            .union(Meaning::AUTHORIZATION),
    ) {
        credentials::credential(context, findings, hit, meaning);
    }
    if meaning.intersects(Meaning::COMMAND) {
        commands::command(context, findings, hit);
    }
    if meaning.intersects(Meaning::KEY_BLOCK) {
        credentials::key_block(context, findings, hit);
    }
    if meaning.intersects(Meaning::SPELLED_DOT) {
        email::spelled_email(context, findings, hit);
    }
    if meaning.intersects(Meaning::SPELLED_AT) {
        email::bracketed_email(context, findings, hit);
    }
    if meaning.intersects(Meaning::UNIT) {
        postal::unit(context, findings, hit);
    }
    if meaning.intersects(Meaning::MONTH) {
        dates::written_date(context, findings, hit);
    }
    if meaning.intersects(Meaning::USERNAME) {
        credentials::username(context, findings, hit);
    }
    let numbered = Meaning::PASSPORT
        .union(Meaning::DRIVER_LICENSE)
        .union(Meaning::VEHICLE)
        .union(Meaning::BANK_ACCOUNT)
        .union(Meaning::CRYPTO)
        .union(Meaning::CUSTOMER_ID)
        .union(Meaning::CARD_CODE);
    if meaning.intersects(numbered) {
        documents::numbered(context, findings, hit, meaning);
    }
    if meaning.intersects(Meaning::CUE) {
        cued_names::cued_name(context, findings, hit, meaning);
    }
    names::name(context, findings, index, hit, meaning);
    postal::place(context, findings, hit, meaning);
}

/// Returns true if a byte is in a small set, by comparing all; a search would be slower.
#[inline]
#[allow(clippy::needless_bitwise_bool)] // a loop without branches is unrolled
pub(crate) fn one_of<const N: usize>(byte: u8, set: &[u8; N]) -> bool {
    set.iter().fold(false, |is, other| is | (*other == byte))
}

/// A set of bytes with constant-time lookup.
pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    #[allow(clippy::indexing_slicing)] // at compile time
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut i = 0;
        while i < bytes.len() {
            set[bytes[i] as usize] = true;
            i += 1;
        }
        Self(set)
    }

    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }
}

pub(crate) fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
