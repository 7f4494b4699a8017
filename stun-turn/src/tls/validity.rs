//! Fields of a certificate (RFC 5280 section 4.1), read from its DER.

/// Tags of DER.
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;

const DAY_S: u64 = 24 * 3600;
/// How long before its end a certificate is warned of at most.
const WARN_S: u64 = 21 * DAY_S;

/// From when to when a certificate is valid, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

/// What is looked at of a certificate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'c> {
    /// 1, 2 or 3.
    pub(super) version: u8,
    /// Distinguished names in DER.
    pub(super) issuer: &'c [u8],
    pub(super) subject: &'c [u8],
    validity: Option<Validity>,
}

impl<'c> Fields<'c> {
    /// None for what is no certificate.
    pub(super) fn of(certificate: &'c [u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (signed, _) = element(certificate, SEQUENCE)?;
        let (version, behind_version) = match element(signed, VERSION) {
            Some((version, rest)) => (element(version, INTEGER)?.0.last()?.saturating_add(1), rest),
            None => (1, signed),
        };
        let (_serial, rest) = element(behind_version, INTEGER)?;
        let (_algorithm, rest) = element(rest, SEQUENCE)?;
        let (issuer, rest) = element(rest, SEQUENCE)?;
        let (validity, rest) = element(rest, SEQUENCE)?;
        let (subject, _) = element(rest, SEQUENCE)?;
        Some(Self {
            version,
            issuer,
            subject,
            validity: Validity::read(validity),
        })
    }
}

impl Validity {
    /// None for what is no certificate, or valid before 1970.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        Fields::of(certificate)?.validity
    }

    fn read(validity: &[u8]) -> Option<Self> {
        let (not_before, rest) = time(validity)?;
        let (not_after, _) = time(rest)?;
        Some(Self {
            not_before,
            not_after,
        })
    }

    /// What the operator should know of it at this time.
    pub(super) fn warning(self, unix_s: u64) -> Option<String> {
        let days = |seconds: u64| match seconds / DAY_S {
            0 => format!("{} h", seconds / 3600),
            days => format!("{days} days"),
        };
        let lifetime_s = self.not_after.saturating_sub(self.not_before);
        let left_s = self.not_after.saturating_sub(unix_s);
        if self.not_after <= unix_s {
            let since = days(unix_s - self.not_after);
            Some(format!("it expired {since} ago: clients refuse it"))
        } else if self.not_before > unix_s {
            let until = days(self.not_before - unix_s);
            Some(format!(
                "it is not valid for another {until}: clients refuse it"
            ))
        } else if left_s < WARN_S.min(lifetime_s / 4) {
            Some(format!("it expires in {}", days(left_s)))
        } else {
            None
        }
    }
}

/// The content of an element of this tag, and what stands behind the element.
pub(super) fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        // The lower bits tell how many bytes the length has.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
            (length.iter().fold(0, add), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (*found == tag).then_some((content, rest))
}

/// A time in Unix seconds, and what stands behind it.
fn time(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let utc = element(bytes, UTC_TIME).map(|(text, rest)| (text, rest, 2));
    let generalized = || element(bytes, GENERALIZED_TIME).map(|(text, rest)| (text, rest, 4));
    let (text, rest, digits_of_year) = utc.or_else(generalized)?;
    let (year, behind) = text.split_at_checked(digits_of_year)?;
    let year = match (number(year)?, digits_of_year) {
        (year @ 0..50, 2) => year + 2000,
        (year, 2) => year + 1900,
        (year, _) => year,
    };
    let mut pairs = behind.chunks_exact(2).map(number);
    let mut next = || pairs.next().flatten();
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    if behind.get(10..) != Some(&b"Z"[..]) || !(1..=12).contains(&month) {
        return None;
    }
    let days = days_since_1970(year, month, day)?;
    let seconds = days * DAY_S + hour * 3600 + minute * 60 + second;
    Some((seconds, rest))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Days of the Gregorian calendar. None before 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    // The year begins in March, so that a leap day is its last one.
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        _ => (year, month - 3),
    };
    let of_years = year * 365 + year / 4 - year / 100 + year / 400;
    let of_months = (month * 153 + 2) / 5;
    (of_years + of_months + day).checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for ((year, month, day), expected) in [
            ((1970, 1, 1), 0),
            ((1970, 3, 1), 59),
            ((2000, 2, 29), 11_016),
            ((2024, 12, 31), 20_088),
            ((2099, 1, 1), 47_117),
        ] {
            assert_eq!(days_since_1970(year, month, day), Some(expected));
        }
        assert_eq!(days_since_1970(1969, 12, 31), None);
    }

    #[test]
    fn a_certificate_tells_from_when_to_when() {
        // Years up to 2049 are written with two digits, later ones with four.
        for (first, last) in [(2024, 2025), (2040, 2060)] {
            let mut parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
            parameters.not_before = rcgen::date_time_ymd(first, 3, 1);
            parameters.not_after = rcgen::date_time_ymd(last, 1, 2);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = parameters.self_signed(&key).unwrap();
            let day = |year: i32, month, day| {
                let year = u64::try_from(year).unwrap();
                days_since_1970(year, month, day).unwrap() * DAY_S
            };
            let expected = Validity {
                not_before: day(first, 3, 1),
                not_after: day(last, 1, 2),
            };
            assert_eq!(Validity::of(certificate.der()), Some(expected));
            for cut in 0..60 {
                assert_eq!(Validity::of(&certificate.der()[..cut]), None);
            }
        }
    }

    #[test]
    fn the_end_is_told_weeks_before_and_of_short_lives_days_before() {
        let year = Validity {
            not_before: 1000 * DAY_S,
            not_after: 1365 * DAY_S,
        };
        let warning = |validity: Validity, day: u64| validity.warning(day * DAY_S + 1);
        assert!(
            warning(year, 999)
                .unwrap()
                .contains("not valid for another 23 h")
        );
        assert_eq!(warning(year, 1000), None);
        assert_eq!(warning(year, 1343), None);
        assert!(warning(year, 1350).unwrap().contains("expires in 14 days"));
        assert!(warning(year, 1375).unwrap().contains("expired 10 days ago"));
        let six_days = Validity {
            not_before: 1000 * DAY_S,
            not_after: 1006 * DAY_S,
        };
        assert_eq!(warning(six_days, 1003), None);
        assert!(warning(six_days, 1005).is_some());
    }
}
