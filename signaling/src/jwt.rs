//! JSON Web Tokens (RFC 7519) signed with HS256 (RFC 7518, 3.2), in compact form. No other algorithm is
//! known here, so that no token can choose one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What is written in front of each token.
const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
/// How far the clocks of who makes tokens and of this host may be apart.
pub(crate) const LEEWAY: Duration = Duration::from_secs(60);

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it is no token")]
    NotAToken,
    #[error("its algorithm is not HS256, or it has `crit`")]
    Algorithm,
    #[error("its signature is another secret's")]
    Signature,
    #[error("its claims are missing or of the wrong type")]
    Claims,
    #[error("it has expired")]
    Expired,
    #[error("its time has not come")]
    TooEarly,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// What a reader must understand (RFC 7515, 4.1.11): here nothing.
    crit: Option<IgnoredAny>,
}

/// When a token is good, in seconds since 1970; `nbf` may have a fraction (RFC 7519, 2).
#[derive(Deserialize)]
struct Times {
    exp: u64,
    #[serde(default)]
    nbf: NotBefore,
}

/// A number and nothing else: a text that looks like one must not be taken for none.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct NotBefore(f64);

/// Signs and checks tokens with one secret.
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    pub(crate) fn new(secret: &[u8]) -> Self {
        let key = Hmac::new_from_slice(secret);
        Self(key.expect("HMAC takes keys of any length"))
    }

    /// A token with these claims.
    pub(crate) fn sign<T: Serialize>(&self, claims: &T) -> Result<String, serde_json::Error> {
        let header = URL_SAFE_NO_PAD.encode(HEADER);
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
        let signed = format!("{header}.{payload}");
        let tag = self.0.clone().chain_update(&signed).finalize();
        let tag = URL_SAFE_NO_PAD.encode(tag.into_bytes());
        Ok(format!("{signed}.{tag}"))
    }

    /// The claims of a token that is good `now`, since 1970.
    pub(crate) fn open<T: DeserializeOwned>(
        &self,
        token: &str,
        now: Duration,
    ) -> Result<T, Refused> {
        let (signed, tag) = token.rsplit_once('.').ok_or(Refused::NotAToken)?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::NotAToken)?;
        let decode = |text| URL_SAFE_NO_PAD.decode(text).or(Err(Refused::NotAToken));
        let header: Header =
            serde_json::from_slice(&decode(header)?).or(Err(Refused::NotAToken))?;
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(Refused::Algorithm);
        }
        let mac = self.0.clone().chain_update(signed);
        mac.verify_slice(&decode(tag)?)
            .or(Err(Refused::Signature))?;
        let payload = decode(payload)?;
        let times: Times = serde_json::from_slice(&payload).or(Err(Refused::Claims))?;
        if now.saturating_sub(LEEWAY).as_secs() > times.exp {
            return Err(Refused::Expired);
        }
        if times.nbf.0 > (now + LEEWAY).as_secs_f64() {
            return Err(Refused::TooEarly);
        }
        serde_json::from_slice(&payload).or(Err(Refused::Claims))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_000_000);

    fn opened(key: &Key, token: &str) -> Result<Value, Refused> {
        key.open(token, NOW)
    }

    fn with_header(key: &Key, header: &str, claims: &Value) -> String {
        let header = URL_SAFE_NO_PAD.encode(header);
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signed = format!("{header}.{payload}");
        let tag = key.0.clone().chain_update(&signed).finalize();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.into_bytes()))
    }

    /// RFC 7515, A.1.
    #[test]
    fn the_rfc_s_token_is_good_until_it_expires() {
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = Key::new(&URL_SAFE_NO_PAD.decode(secret).unwrap());
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
            .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
            .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let at = |seconds| key.open::<Value>(token, Duration::from_secs(seconds));
        assert_eq!(at(1_300_819_380 + 60).unwrap()["iss"], "joe");
        assert_eq!(at(1_300_819_380 + 61), Err(Refused::Expired));
        assert_eq!(
            opened(&key, &token.replace("dBj", "dBk")),
            Err(Refused::Signature)
        );
        assert_eq!(opened(&Key::new(b"north"), token), Err(Refused::Signature));
    }

    /// A token with `nbf` as a text was good before its time (CVE-2026-25537 of a library).
    #[test]
    fn not_before_is_honoured_in_every_form() {
        let key = Key::new(b"north");
        let token = |nbf: &str| {
            let claims = format!(r#"{{"exp":9999999999,"nbf":{nbf}}}"#);
            with_header(&key, HEADER, &serde_json::from_str(&claims).unwrap())
        };
        for past in ["0", "-1", "1795000000", "1795000060", "1795000059.9", "1e3"] {
            assert!(opened(&key, &token(past)).is_ok(), "{past}");
        }
        for future in ["1795000061", "1795000060.5", "1e300", "10000000000"] {
            assert_eq!(
                opened(&key, &token(future)),
                Err(Refused::TooEarly),
                "{future}"
            );
        }
        for strange in [r#""10000000000""#, r#""0""#, "null", "true", "[0]", "{}"] {
            assert_eq!(
                opened(&key, &token(strange)),
                Err(Refused::Claims),
                "{strange}"
            );
        }
        let twice = URL_SAFE_NO_PAD.encode(r#"{"exp":9999999999,"nbf":10000000000,"nbf":0}"#);
        let signed = format!("{}.{twice}", URL_SAFE_NO_PAD.encode(HEADER));
        let tag = key.0.clone().chain_update(&signed).finalize();
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.into_bytes()));
        assert_eq!(opened(&key, &token), Err(Refused::Claims));
    }

    #[test]
    fn only_this_algorithm_opens_anything() {
        let key = Key::new(b"north");
        let good = json!({"exp": 9_999_999_999_u64});
        assert!(opened(&key, &key.sign(&good).unwrap()).is_ok());
        for header in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"hs256"}"#,
            r#"{"alg":"HS256","crit":["exp"]}"#,
        ] {
            let token = with_header(&key, header, &good);
            assert_eq!(opened(&key, &token), Err(Refused::Algorithm), "{header}");
        }
        for strange in ["", ".", "..", "a.b", "a.b.c", "=.=.=", &"x".repeat(8000)] {
            assert_eq!(opened(&key, strange), Err(Refused::NotAToken), "{strange}");
        }
        for claims in [
            json!({}),
            json!({"exp": "9999999999"}),
            json!({"exp": -1}),
            json!([]),
        ] {
            let token = key.sign(&claims).unwrap();
            assert_eq!(opened(&key, &token), Err(Refused::Claims), "{claims}");
        }
        let token = key.sign(&good).unwrap();
        let (_, tag) = token.rsplit_once('.').unwrap();
        for cut in [&token[..token.len() - 1], token.strip_suffix(tag).unwrap()] {
            assert!(opened(&key, cut).is_err(), "{cut}");
        }
    }
}
