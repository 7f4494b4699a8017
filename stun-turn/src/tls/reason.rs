//! Why certificates and keys can't be used, in words.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::validity::{BIT_STRING, Fields, INTEGER, OCTET_STRING, SEQUENCE, element};

/// Keys that can be used.
const EXPECTED: &str = "expected RSA with 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519";

/// Object identifiers in DER that a key may have, and what they mean.
const CURVES: [(&[u8], &str); 3] = [
    (&[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23], "P-521"),
    (&[0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x0A], "secp256k1"),
    (&[0x06, 0x03, 0x2B, 0x65, 0x71], "Ed448"),
];
const RSA: &[u8] = &[
    0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01,
];

/// What is wrong with a file that should have a private key, if its kind tells.
pub(super) fn of_key_file(pem: &[u8]) -> Option<String> {
    let has = |words: &str| find(pem, words.as_bytes());
    if has("-----BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return Some(
            "the key is encrypted, and there is no option for its password: write it without \
             (openssl pkey -in ENCRYPTED -out PLAIN) to a file that only the server can read"
                .to_owned(),
        );
    }
    of_file(pem)
}

/// What stands in a file instead of what was looked for.
pub(super) fn of_file(pem: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(pem);
    let labels = text.split("-----BEGIN ").skip(1);
    let mut labels: Vec<&str> = labels
        .filter_map(|it| Some(it.split_once("-----")?.0))
        .collect();
    labels.dedup();
    if pem.is_empty() {
        Some("the file is empty".to_owned())
    } else if pem.first() == Some(&SEQUENCE) && labels.is_empty() {
        Some("found DER or PKCS #12 (openssl can convert it)".to_owned())
    } else if labels.is_empty() {
        None
    } else {
        // A label is at most as long as the longest that there is, whatever the file holds.
        let labels: Vec<String> = labels
            .iter()
            .map(|it| it.chars().take(40).collect())
            .collect();
        Some(format!("found {}", labels.join(", ")))
    }
}

/// Why these can't be used together; `error` is what the library says.
pub(super) fn of_pair(
    chain: &[CertificateDer<'_>],
    key: &PrivateKeyDer<'_>,
    error: &rustls::Error,
) -> String {
    let is_first_of_key = |certificate: &CertificateDer<'_>| {
        let public = public_key_of(key);
        public.is_some_and(|public| find(certificate, &public))
    };
    let leaf = chain.first();
    let place = chain.iter().skip(1).position(is_first_of_key);
    if matches!(error, rustls::Error::InconsistentKeys(_)) {
        return match place {
            Some(place) => format!(
                "the chain is in the wrong order: the certificate of the key is number {} of {} and must be the first",
                place + 2,
                chain.len()
            ),
            None => "the key belongs to another certificate".to_owned(),
        };
    }
    if let Some(reason) = of_key(key) {
        return reason;
    }
    let version = leaf.and_then(|leaf| Fields::of(leaf)).map(|it| it.version);
    match version {
        Some(version @ 1..=2) => format!(
            "the certificate is of X.509 version {version}, which clients refuse: expected version 3"
        ),
        _ => error.to_string(),
    }
}

/// What is wrong with a key of a kind that can't be used.
fn of_key(key: &PrivateKeyDer<'_>) -> Option<String> {
    let der = key.secret_der();
    if let Some((_, name)) = CURVES.iter().find(|(oid, _)| find(head(der), oid)) {
        return Some(format!("the key is of {name}, {EXPECTED}"));
    }
    let bits = modulus(key)?.len() * 8;
    let is_usable = (2048..=4096).contains(&bits);
    (!is_usable).then(|| format!("the key is RSA with {bits} bits, {EXPECTED}"))
}

/// Where a key names its kind: in front, or in SEC1 behind the private number.
fn head(der: &[u8]) -> &[u8] {
    der.get(..der.len().min(96)).unwrap_or_default()
}

/// The modulus of an RSA key, without leading zero.
fn modulus<'k>(key: &'k PrivateKeyDer<'_>) -> Option<&'k [u8]> {
    let rsa = match key {
        PrivateKeyDer::Pkcs1(key) => key.secret_pkcs1_der(),
        PrivateKeyDer::Pkcs8(key) => {
            let (inner, _) = element(key.secret_pkcs8_der(), SEQUENCE)?;
            let (_version, rest) = element(inner, INTEGER)?;
            let (algorithm, rest) = element(rest, SEQUENCE)?;
            find(algorithm, RSA).then_some(())?;
            element(rest, OCTET_STRING)?.0
        }
        _ => return None,
    };
    let (inner, _) = element(rsa, SEQUENCE)?;
    let (_version, rest) = element(inner, INTEGER)?;
    let (modulus, _) = element(rest, INTEGER)?;
    Some(modulus.strip_prefix(&[0]).unwrap_or(modulus))
}

/// The public part of a key as a certificate has it: the modulus of RSA, or else the end of what a
/// signing key made of it tells.
fn public_key_of(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    if let Some(modulus) = modulus(key) {
        return Some(modulus.to_owned());
    }
    let signing = rustls::crypto::ring::sign::any_supported_type(key).ok()?;
    let info = signing.public_key()?;
    let (inner, _) = element(info.as_ref(), SEQUENCE)?;
    let (_algorithm, rest) = element(inner, SEQUENCE)?;
    Some(element(rest, BIT_STRING)?.0.to_owned())
}

fn find(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether a certificate has the extension that names hosts.
pub(super) fn has_subject_alt_name(certificate: &[u8]) -> bool {
    // 2.5.29.17
    find(certificate, &[0x06, 0x03, 0x55, 0x1D, 0x11])
}

/// What an operator should know of a chain whose certificates can be used.
pub(super) fn notes(chain: &[CertificateDer<'_>], has_names: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if !has_names {
        notes.push(
            "it names no host (subjectAltName), which is what clients look at: they refuse it"
                .to_owned(),
        );
    }
    let fields: Vec<_> = chain.iter().map(|it| Fields::of(it)).collect();
    for (index, pair) in fields.windows(2).enumerate() {
        if let [Some(lower), Some(upper)] = pair
            && lower.issuer != upper.subject
        {
            let (lower, upper) = (index + 1, index + 2);
            notes.push(format!(
                "certificate {upper} of the chain is not the issuer of certificate {lower}: some clients refuse a chain that is \
                 not in order"
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::super::{CertificateError, Certificates};

    fn fixture(name: &str) -> PathBuf {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/certificates");
        PathBuf::from(folder).join(name)
    }

    fn refused(certificate: PathBuf, key: PathBuf) -> CertificateError {
        Certificates::load(&[certificate], &[key]).unwrap_err()
    }

    #[test]
    fn keys_that_can_t_be_used_are_told_in_words() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let certificate = directory.path().join("cert.pem");
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        for (key, words) in [
            ("encrypted-pkcs8.key.pem", "the key is encrypted"),
            ("encrypted-sec1.key.pem", "the key is encrypted"),
            ("p521.key.pem", "the key is of P-521"),
            ("p521-pkcs8.key.pem", "the key is of P-521"),
            ("rsa1024.key.pem", "the key is RSA with 1024 bits"),
            ("rsa1024-pkcs8.key.pem", "the key is RSA with 1024 bits"),
            ("v1.key.pem", "the key belongs to another certificate"),
            ("v1.pem", "found CERTIFICATE"),
        ] {
            let error = refused(certificate.clone(), fixture(key)).to_string();
            assert!(error.contains(words) && error.contains(key), "{error}");
        }
        let v1 = refused(fixture("v1.pem"), fixture("v1.key.pem")).to_string();
        assert!(v1.contains("X.509 version 1"), "{v1}");
        let swapped = refused(fixture("v1.key.pem"), fixture("v1.pem")).to_string();
        assert!(swapped.contains("found EC PRIVATE KEY"), "{swapped}");
        std::fs::write(&certificate, made.cert.der()).unwrap();
        let der = refused(certificate.clone(), fixture("v1.key.pem")).to_string();
        assert!(der.contains("DER"), "{der}");
        std::fs::write(&certificate, "").unwrap();
        let empty = refused(certificate, fixture("v1.key.pem")).to_string();
        assert!(empty.contains("empty"), "{empty}");
    }

    /// The error of the system stood there twice.
    #[test]
    fn an_unreadable_file_is_told_once() {
        let error = anyhow::Error::from(refused("/no/such".into(), "/no/such".into()));
        assert_eq!(format!("{error:#}").matches("os error").count(), 1);
    }

    #[test]
    fn chains_out_of_order_and_certificates_without_names_are_told() {
        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "authority");
        let authority_key = KeyPair::generate().unwrap();
        let top = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::from_params(&authority, &authority_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["turn.example.org".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        let load = |chain: &[String]| {
            std::fs::write(path("cert"), chain.concat()).unwrap();
            Certificates::load(&[path("cert")], &[path("key")])
        };
        let good = load(&[leaf.pem(), top.pem()]).unwrap();
        assert_eq!(good.notes, [""; 0]);
        assert!(!good.lacks("turn.example.org") && good.lacks("other.example.org"));
        assert!(
            !Certificates::default().lacks("turn.example.org"),
            "there is none"
        );
        let turned = load(&[top.pem(), leaf.pem()]).unwrap_err().to_string();
        assert!(
            turned.contains("wrong order") && turned.contains("number 2 of 2"),
            "{turned}"
        );
        let other = rcgen::generate_simple_self_signed(["b.example".to_owned()]).unwrap();
        let mixed = load(&[leaf.pem(), other.cert.pem()]).unwrap();
        assert!(
            mixed.notes[0].contains("not the issuer of certificate 1"),
            "{:?}",
            mixed.notes
        );
        let nameless = CertificateParams::new([]).unwrap();
        let nameless = nameless.self_signed(&key).unwrap();
        let nameless = load(&[nameless.pem()]).unwrap();
        assert!(
            nameless.notes[0].contains("names no host"),
            "{:?}",
            nameless.notes
        );
        assert_eq!(nameless.warnings(1_800_000_000).len(), 1);
    }
}
