//! Room tokens: JWT, HS256, made by the application that lets people in.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use signaling_proto::hub::{Grant, Unauthorized};
use signaling_proto::message::client::{DEFAULT_NAMESPACE, Hello};
use signaling_proto::message::server::Role;
use signaling_proto::name;

use crate::jwt::{Key, LEEWAY};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Which room it opens.
    pub room: String,
    /// Of which application.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// What its bearer is.
    #[serde(default = "participant")]
    pub role: Role,
    /// How its bearer is called; who says `hello` decides when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Until when it opens the room, in seconds since 1970.
    pub exp: u64,
}

fn default_namespace() -> String {
    DEFAULT_NAMESPACE.into()
}

const fn participant() -> Role {
    Role::Participant
}

/// Makes a token of `claims`, in which `exp` is `ttl` after `now` (since 1970).
///
/// # Errors
/// Never with claims of this type; the serializer can't know that.
pub fn mint(
    secret: &str,
    mut claims: Claims,
    now: Duration,
    ttl: Duration,
) -> Result<String, serde_json::Error> {
    claims.exp = now.saturating_add(ttl).as_secs();
    Key::new(secret.as_bytes()).sign(&claims)
}

/// Which namespaces ask for tokens.
#[derive(Default)]
pub(crate) struct Gates {
    /// Of all that have none of their own; `None` where these are open.
    pub(crate) general: Option<Gate>,
    /// By namespace.
    pub(crate) own: HashMap<String, Gate>,
}

impl Gates {
    /// Asks the namespace's own gate, or else the general one.
    pub(crate) fn admit(&self, hello: &Hello) -> Result<Grant, Unauthorized> {
        let own = self.own.get(hello.namespace());
        match own.or(self.general.as_ref()) {
            None => Ok(Grant::default()),
            Some(gate) => gate.admit(hello),
        }
    }
}

/// Lets in whoever has a token for the room.
pub(crate) struct Gate(Key);

impl Gate {
    pub(crate) fn new(secret: &str) -> Self {
        Self(Key::new(secret.as_bytes()))
    }

    /// Every reason for a refusal looks alike to the client.
    pub(crate) fn admit(&self, hello: &Hello) -> Result<Grant, Unauthorized> {
        let token = hello.token.as_deref().ok_or(Unauthorized)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let claims: Claims = self
            .0
            .open(token, now.unwrap_or_default())
            .map_err(|reason| {
                tracing::debug!(%reason, "a token was refused");
                Unauthorized
            })?;
        // The `hello` names them in canonical form.
        let room = name::room(&claims.room);
        let namespace = name::namespace(&claims.namespace);
        if room.as_ref() != Ok(&hello.room) || namespace.as_deref() != Ok(hello.namespace()) {
            tracing::debug!("a token of another room was refused");
            return Err(Unauthorized);
        }
        Ok(Grant {
            role: Some(claims.role),
            name: claims.name,
            expires_at: Some(claims.exp.saturating_add(LEEWAY.as_secs())),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use signaling_proto::message::ClientMessage;

    use super::*;
    const LEEWAY_S: u64 = LEEWAY.as_secs();

    fn now() -> u64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.unwrap().as_secs()
    }

    fn hello(fields: &Value) -> Hello {
        let mut hello = json!({"type": "hello", "room": "r"});
        let fields = fields.as_object().unwrap().clone();
        hello.as_object_mut().unwrap().extend(fields);
        match ClientMessage::parse(&hello.to_string()).unwrap() {
            ClientMessage::Hello(hello) => hello,
            other => panic!("{other:?}"),
        }
    }

    fn admit(fields: &Value) -> Result<Grant, Unauthorized> {
        Gate::new("north").admit(&hello(fields))
    }

    fn signed(secret: &str, claims: &Value) -> String {
        Key::new(secret.as_bytes()).sign(claims).unwrap()
    }

    #[test]
    fn a_minted_token_opens_its_room() {
        let claims = Claims {
            room: "r".into(),
            namespace: "main".into(),
            role: Role::Host,
            name: Some("Mina".into()),
            exp: 0,
        };
        let ttl = Duration::from_secs(60);
        let token = mint("north", claims, Duration::from_secs(now()), ttl).unwrap();
        let grant = admit(&json!({"token": token})).unwrap();
        assert_eq!(grant.role, Some(Role::Host));
        assert_eq!(grant.name.as_deref(), Some("Mina"));
        let elsewhere = json!({"token": token, "room": "other"});
        assert_eq!(admit(&elsewhere), Err(Unauthorized));
        let elsewhere = json!({"token": token, "namespace": "game"});
        assert_eq!(admit(&elsewhere), Err(Unauthorized));
    }

    #[test]
    fn whatever_is_wrong_with_a_token_it_is_refused() {
        let good = json!({"room": "r", "exp": now() + 60});
        let token = |claims: &Value| signed("north", claims);
        assert!(admit(&json!({"token": token(&good)})).is_ok());
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            token(&claims)
        };
        let unsigned = "eyJhbGciOiJub25lIn0.eyJyb29tIjoiciIsImV4cCI6OTk5OTk5OTk5OX0.";
        for (why, token) in [
            ("another secret", signed("south", &good)),
            ("no algorithm", unsigned.into()),
            ("expired", with("exp", json!(now() - LEEWAY_S - 5))),
            ("not yet", with("nbf", json!(now() + LEEWAY_S + 5))),
            ("not yet, as a text", with("nbf", json!("10000000000"))),
            ("another room", with("room", json!("other"))),
            ("no expiry", token(&json!({"room": "r"}))),
            ("no room", token(&json!({"exp": now() + 60}))),
            ("unknown role", with("role", json!("king"))),
            ("not a token", "x".repeat(8000)),
            ("empty", String::new()),
        ] {
            assert_eq!(admit(&json!({"token": token})), Err(Unauthorized), "{why}");
        }
        assert_eq!(admit(&json!({})), Err(Unauthorized));
    }

    #[test]
    fn each_namespace_has_its_own_secret_and_the_others_the_general_one() {
        let gates = Gates {
            general: Some(Gate::new("north")),
            own: [("game".to_owned(), Gate::new("south"))].into(),
        };
        let admits = |secret: &str, signed_for: &str, namespace: &str| {
            let claims = json!({"room": "r", "namespace": signed_for, "exp": now() + 60});
            let token = signed(secret, &claims);
            let hello = hello(&json!({"namespace": namespace, "token": token}));
            gates.admit(&hello).is_ok()
        };
        assert!(admits("south", "game", "game"));
        assert!(!admits("north", "game", "game"), "the general secret");
        for namespace in ["main", "nobody has heard of it"] {
            assert!(admits("north", namespace, namespace));
            assert!(!admits("south", namespace, namespace), "another's secret");
        }
        assert!(!admits("south", "game", "main"), "another's token");

        let open = Gates {
            general: None,
            own: [("game".to_owned(), Gate::new("south"))].into(),
        };
        assert_eq!(open.admit(&hello(&json!({}))), Ok(Grant::default()));
        let without_token = hello(&json!({"namespace": "game"}));
        assert_eq!(open.admit(&without_token), Err(Unauthorized));
    }
}
