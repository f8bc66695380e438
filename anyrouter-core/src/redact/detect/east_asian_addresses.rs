//! Addresses written from the region to the house: `北京市朝阳区建国路88号`, `東京都千代田区丸の内1-1-1`,
//! `서울특별시 강남구 테헤란로 152`.

use super::context::{Context, Findings};
use crate::redact::{Kind, scan::Hit};

/// The longest address, in bytes.
const LONGEST: usize = 160;
/// Characters that end a region, a town, a district or a street, the streets last.
const PARTS: &str = "省市区區县縣镇鎮乡鄉町村都府郡段路街道巷弄里";
const STREETS: &str = "路街道巷弄";
const HANGUL_PARTS: &str = "시도구군읍면동로길";
/// Units after the number of a house, a block, a floor or a flat.
const UNITS: [&str; 16] = [
    "号楼", "号室", "号", "號", "丁目", "番地", "番", "室", "楼", "樓", "栋", "幢", "座", "层",
    "巷", "弄",
];

/// Detects an address that begins with the place at `hit`, by the endings of its parts and by a
/// house number.
pub(super) fn east_asian_address(context: &Context<'_>, findings: &mut Findings<'_>, hit: Hit) {
    let text = context.part(hit.start, context.floor(hit.start + LONGEST));
    let is_hangul = text.starts_with(|c| matches!(c, '\u{ac00}'..='\u{d7af}'));
    if let Some(length) = if is_hangul {
        hangul_address(text)
    } else {
        han_address(text)
    } {
        findings.add(
            hit.start,
            hit.start + length,
            Kind::Address,
            "east_asian_address",
            86,
        );
    }
}

/// Returns the length of an address in Han characters and kana.
fn han_address(text: &str) -> Option<usize> {
    let is_letter = |c: char| {
        matches!(c, '\u{3040}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}')
            && !"的是在了和我你他".contains(c)
    };
    let letters = text.find(|c| !is_letter(c)).unwrap_or(text.len());
    let named = text.get(..letters)?;
    let parts = named.chars().filter(|c| PARTS.contains(*c)).count();
    let mut end = letters;
    let mut is_sure = parts >= 3 && named.ends_with(|c| STREETS.contains(c));
    loop {
        let rest = text.get(end..)?;
        let number = rest
            .bytes()
            .take_while(|b| b.is_ascii_digit() || *b == b'-')
            .count();
        if !rest.starts_with(|c: char| c.is_ascii_digit()) || number > 12 {
            break;
        }
        let unit = UNITS
            .iter()
            .find(|u| rest.get(number..).is_some_and(|t| t.starts_with(**u)));
        // A house number belongs to a street; `区有3号线` is something else.
        is_sure |= unit.is_some() && named.ends_with(|c| PARTS.contains(c))
            || rest.get(..number).is_some_and(|n| n.contains('-'));
        end += number + unit.map_or(0, |u| u.len());
    }
    (parts >= 2 && is_sure).then_some(end)
}

/// Returns the length of an address in Hangul: parts with spaces between, and a number.
fn hangul_address(text: &str) -> Option<usize> {
    let mut at = 0;
    for (parts, word) in text.split(' ').enumerate() {
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let number = word
                .bytes()
                .take_while(|b| b.is_ascii_digit() || *b == b'-')
                .count();
            return (parts >= 2).then_some(at + number);
        }
        let is_part = word.ends_with(|c| HANGUL_PARTS.contains(c)) || parts == 0;
        if !is_part || !word.starts_with(|c| matches!(c, '\u{ac00}'..='\u{d7af}')) {
            return None;
        }
        at += word.len() + 1;
    }
    None
}
