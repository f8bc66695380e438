//! Names in Han, kana, Hangul and Thai, without spaces between words, found by surnames, titles and
//! introductory words.

use super::context::{Context, Findings};
use crate::part::Part as _;
use crate::redact::{Kind, scan::Hit, vocabulary::Meaning};

/// Korean words that begin like surnames and are not names.
#[rustfmt::skip]
const KOREAN: [&str; 42] = [
    "주세요", "주시", "주소", "주문", "주말", "주제", "제목", "제품", "제출", "제공", "함수", "함께", "설명", "설정", "변경", "변수", "서식", "서버", "서비스",
    "이름", "이메일", "이번", "이유", "이용", "안녕", "안내", "정보", "정말", "조건", "조회", "전화", "전체", "전송", "문서", "문제", "문장", "고객", "한국",
    "연락", "최근", "여기", "강의",
];

/// Detects names in Han, kana, Hangul and Thai by surnames, titles and introductory words.
pub(super) fn unspaced_name(
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    index: usize,
    hit: Hit,
    meaning: Meaning,
) {
    let text = context.text;
    let next = |at: usize| text.part(at..).chars();
    let introduced = |at: usize| {
        // Skips the signs between a field's name and its value.
        let rest = text.part(at..);
        at + rest.len()
            - rest
                .trim_start_matches([
                    ':', '：', ' ', '是', '叫', 'は', '은', '는', '"', '|', '*', '「',
                ])
                .len()
    };
    if meaning.intersects(
        Meaning::NAME
            .union(Meaning::HONORIFIC)
            .union(Meaning::GREETING),
    ) {
        let at = introduced(hit.end);
        let script = next(at).next();
        // `ลงชื่อเข้าใช้` means to log in.
        let is_part = context.part(0, hit.start).ends_with("ลง")
            || context.part(at, context.text.len()).starts_with("เข้าใช้");
        if script.is_some_and(is_thai) && is_part {
            return;
        }
        if script.is_some_and(is_thai) {
            thai_name(
                context,
                findings,
                at,
                if meaning.intersects(Meaning::HONORIFIC) {
                    84
                } else {
                    80
                },
            );
            return;
        }
        let is_surname = context
            .hits
            .part(index + 1..)
            .iter()
            .take_while(|h| h.start <= at)
            .any(|h| {
                h.start == at
                    && h.meaning()
                        .intersects(Meaning::SURNAME_CHARACTER.union(Meaning::ANY_NAME))
            });
        if !meaning.intersects(Meaning::HONORIFIC)
            && (is_surname || at > hit.end)
            && let Some(end) = cjk_name_end(context, at)
        {
            findings.add(
                at,
                end,
                Kind::Person,
                "introduced",
                if is_surname { 85 } else { 58 },
            );
        }
    }
    if meaning.intersects(Meaning::SURNAME_CHARACTER) {
        // 王先生, 佐藤さん, 김민준 씨.
        for given in 0..=3 {
            let end = context
                .part(hit.end, context.floor(hit.end + 16))
                .char_indices()
                .nth(given)
                .map(|(i, _)| hit.end + i);
            let Some(end) = end else { break };
            let between = context.part(hit.end, end);
            if !between.chars().all(|c| is_cjk(c) || c == ' ')
                || between
                    .chars()
                    .any(|c| "的是在了和我你他她们这那有不".contains(c))
            {
                break;
            }
            let rest = context.part(end, context.floor(end + 12)).trim_start();
            if [
                "先生",
                "女士",
                "小姐",
                "太太",
                "老师",
                "老師",
                "教授",
                "医生",
                "醫生",
                "经理",
                "經理",
                "同学",
                "博士",
                "さん",
                "様",
                "さま",
                "君",
                "ちゃん",
                "氏",
                "部長",
                "社長",
                "課長",
                "씨",
                "님",
                "선생님",
                "과장",
                "대리",
                "부장",
            ]
            .iter()
            .any(|t| rest.starts_with(t))
            {
                findings.add(hit.start, end, Kind::Person, "titled", 82);
                return;
            }
        }
        if let Some(end) = chinese_name_end(context, hit) {
            findings.add(hit.start, end, Kind::Person, "listed", 60);
        } else if is_kanji_or_hangul_name(context, hit)
            && let Some(end) = cjk_name_end(context, hit.start)
        {
            findings.add(hit.start, end, Kind::Person, "listed", 56);
        }
    }
    if meaning.intersects(Meaning::ANY_NAME) && next(hit.start).next().is_some_and(is_thai) {
        thai_name(context, findings, hit.start, 66);
    } else if meaning.intersects(Meaning::GIVEN) && next(hit.start).next().is_some_and(is_cjk) {
        // A family name right before.
        let before: Option<Hit> = context
            .hits
            .get(..index)
            .and_then(|h| {
                h.iter()
                    .rev()
                    .take(3)
                    .find(|h| h.end == hit.start || h.end + 1 == hit.start)
            })
            .copied();
        if let Some(family) = before.filter(|h| h.meaning().intersects(Meaning::SURNAME_CHARACTER))
        {
            findings.add(family.start, hit.end, Kind::Person, "listed", 80);
        }
    }
}

/// Returns true for a listed surname with up to three characters that stands apart: `张伟，`.
fn is_kanji_or_hangul_name(context: &Context<'_>, hit: Hit) -> bool {
    let before = context
        .part(context.floor(hit.start.saturating_sub(3)), hit.start)
        .chars()
        .next_back();
    let apart = before.is_none_or(|c| !c.is_alphanumeric());
    let Some(end) = cjk_name_end(context, hit.start) else {
        return false;
    };
    if KOREAN.iter().any(|word| {
        context
            .part(hit.start, context.text.len())
            .starts_with(word)
    }) {
        return false;
    }
    let after = context.chars_from(end).next();
    let count = context
        .part(hit.start, end)
        .chars()
        .filter(|c| is_cjk(*c))
        .count();
    apart
        && after.is_none_or(|c| !c.is_alphanumeric() || "は이가은는을를と".contains(c))
        && (2..=4).contains(&count)
}

/// Returns the end of a surname with one or two characters that are frequent in given names.
fn chinese_name_end(context: &Context<'_>, hit: Hit) -> Option<usize> {
    const GIVEN: &str = "伟芳娜敏静秀丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华玉萍红鑫文辉婷飞鹏波斌莉凤洁梅琳素云莲真环雪荣爱妹香月莺媛瑞凡佳嘉琼勤珍贞翔健世广志义兴良海山仁宁贵福生龙元全国胜学祥才发武新利清彬富顺信子浩亮政谦亨奇固之轮翰朗伯宏言若鸣朋梁栋维启克伦旭泽晨辰士以建家致树炎德行时泰盛雄琛钧冠策腾楠榕风航弘淑慧巧美惠珠翠雅芝春菊颖露瑶怡婵雁蓓纨仪荷丹蓉眉君琴蕊薇菁梦岚苑婕馨瑗琰韵融园艺咏卿聪澜纯毓悦昭冰爽琬茗羽希欣飘育滢馥筠柔竹霭凝晓欢霄枫芸菲寒伊亚宜可姬舒影荔枝思倩雯宇轩俊峰坤成康阳莹畅";
    const WORDS: &str = "高方石金白马黄江温安万时成文明常平水于何别和连向从单应易元同国家车花路";
    let mut chars = context.chars_from(hit.end);
    let first = chars.next().filter(|c| GIVEN.contains(*c))?;
    let surname = context.part(hit.start, hit.end);
    let second = chars
        .next()
        .filter(|c| GIVEN.contains(*c) && !"之可以时行言发生学国家新".contains(*c));
    if second.is_none() && ("之可以时行言发生学国家新明".contains(first) || WORDS.contains(surname))
    {
        return None;
    }
    if WORDS.contains(surname) && "之可以时行言发生学国家新明".contains(first) {
        return None;
    }
    Some(hit.end + first.len_utf8() + second.map_or(0, char::len_utf8))
}

/// Returns the end of a Chinese, Japanese or Korean name that begins at `at`.
fn cjk_name_end(context: &Context<'_>, at: usize) -> Option<usize> {
    let text = context.part(at, context.floor(at + 24));
    let first = text.chars().next().filter(|c| is_cjk(*c))?;
    let hangul = matches!(first, '\u{ac00}'..='\u{d7af}');
    let mut end = at;
    let mut count = 0;
    for (i, c) in text.char_indices() {
        let stops = "的是在了和我你他她们这那有不，。、！？的，電电住地今来想要请吗呢啊也就都把被给对从到为与及或且但而所以因为男女生年月日号號岁歳才";
        let fits = is_cjk(c)
            && matches!(c, '\u{ac00}'..='\u{d7af}') == hangul
            && !(count > 0 && stops.contains(c))
            && !matches!(c, '\u{3040}'..='\u{309f}');
        let gap = c == ' '
            && count > 0
            && count < 4
            && text
                .get(i + 1..)
                .and_then(|r| r.chars().next())
                .is_some_and(|n| is_cjk(n) && !matches!(n, '\u{3040}'..='\u{309f}') && !hangul)
            && matches!(first, '\u{4e00}'..='\u{9fff}');
        let surname_jp = count >= 4;
        if gap {
            continue;
        }
        if !fits || surname_jp || (hangul && count == 3) {
            break;
        }
        count += 1;
        end = at + i + c.len_utf8();
        if hangul && count == 3 {
            break;
        }
    }
    (count >= 2).then_some(end)
}

/// Detects a Thai name: a run of Thai, and possibly a second one after a space.
fn thai_name(context: &Context<'_>, findings: &mut Findings<'_>, at: usize, confidence: u8) {
    let run = |at: usize| {
        at + context
            .part(at, context.floor(at + 60))
            .chars()
            .take_while(|c| is_thai(*c))
            .map(char::len_utf8)
            .sum::<usize>()
    };
    let mut first = at;
    // Skips a title.
    for title in [
        "นางสาว",
        "นาย",
        "นาง",
        "คุณ",
        "ดร.",
        "น.ส.",
        "ด.ช.",
        "ด.ญ.",
        "คือ",
    ] {
        if context.part(first, context.text.len()).starts_with(title) {
            first += title.len();
            break;
        }
    }
    if context.byte(first) == b' ' {
        first += 1;
    }
    // The next sentence follows a greeting, not a name: `สวัสดีค่ะ ฉันชื่อ…`.
    let opening = context.part(first, context.text.len());
    if ["ค่ะ", "ครับ", "คะ", "นะ", "ฉัน", "ผม", "ดิฉัน", "หนู"]
        .iter()
        .any(|w| opening.starts_with(w))
    {
        return;
    }
    let mut end = run(first);
    if end <= first + 3 {
        return;
    }
    for stop in [
        "ค่ะ",
        "ครับ",
        "คะ",
        "นะ",
        "อยู่",
        "เป็น",
        "มี",
        "และ",
        "จะ",
        "ที่",
        "ได้",
        "โทร",
        "เบอร์",
        "ต้อง",
        "อายุ",
        "เกิด",
        "ทำ",
    ] {
        if let Some(cut) = context.part(first, end).find(stop).filter(|c| *c >= 6) {
            end = first + cut;
        }
    }
    if context.byte(end) == b' ' {
        let next = run(end + 1);
        let second = context.part(end + 1, next);
        let is_word = [
            "เบอร์",
            "โทร",
            "อยู่",
            "อีเมล",
            "เลข",
            "ที่อยู่",
            "ครับ",
            "ค่ะ",
            "เกิด",
            "และ",
            "ขอ",
            "ต้อง",
            "จะ",
            "มี",
            "เป็น",
            "ได้",
            "ไป",
            "กับ",
            "อายุ",
            "บ้าน",
            "ช่วย",
            "วัน",
            "พนักงาน",
            "ส่ง",
            "ทำ",
            "ของ",
            "ผ่าน",
            "หมาย",
            "ติด",
            "นัด",
            "รหัส",
            "บัตร",
            "จาก",
            "แจ้ง",
            "มา",
        ]
        .iter()
        .any(|w| second.starts_with(w));
        if next > end + 7 && !is_word {
            end = next;
        }
    }
    findings.add(first, end, Kind::Person, "introduced", confidence);
}

fn is_thai(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{e7f}')
}

fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

pub(crate) fn is_unspaced_script(c: char) -> bool {
    is_thai(c) || is_cjk(c)
}
