//! Who makes a call.

use tonic::Request;

/// Who makes a call, as the front door knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(String);

impl Caller {
    /// Somebody who shows no credential.
    pub fn anonymous() -> Self {
        Self::named("")
    }

    /// The caller of that name.
    pub fn named(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The caller's name; empty for an anonymous one.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name, by itself.
    pub fn into_name(self) -> String {
        self.0
    }
}

/// The caller whom the front door let in.
pub fn caller<T>(request: &Request<T>) -> Caller {
    request.extensions().get().cloned().unwrap_or_else(Caller::anonymous)
}
