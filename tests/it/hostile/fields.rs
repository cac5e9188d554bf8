//! Finds the fields of a request, nested ones and those of a oneof too, and fills them.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// A field of a request by the fields that lead to it.
#[derive(Clone)]
pub struct Field(Vec<FieldDescriptor>);

/// What stands in a field, as far as a hostile caller can choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Text,
    Number,
    Enum,
    Timestamp,
    Duration,
    /// True or false: there is nothing wrong to say.
    Bool,
}

impl Field {
    /// Every field that holds a value.
    pub fn all(message: &MessageDescriptor) -> Vec<Self> {
        let mut found = Vec::new();
        for field in message.fields() {
            assert!(
                !field.is_list() && !field.is_map(),
                "{}: nobody has said how to fill it",
                field.full_name()
            );
            match field.kind() {
                Kind::Message(nested) if content_of_message(&nested).is_none() => {
                    let below = Self::all(&nested).into_iter();
                    found.extend(below.map(|Self(path)| Self([vec![field.clone()], path].concat())));
                }
                _ => found.push(Self(vec![field])),
            }
        }
        found
    }

    /// The path, as a violation names it.
    pub fn path(&self) -> String {
        self.0.iter().map(FieldDescriptor::name).collect::<Vec<_>>().join(".")
    }

    /// The last name of the path.
    pub fn name(&self) -> &str {
        self.last().name()
    }

    pub fn content(&self) -> Content {
        match self.last().kind() {
            Kind::String => Content::Text,
            Kind::Int32 => Content::Number,
            Kind::Enum(_) => Content::Enum,
            Kind::Bool => Content::Bool,
            Kind::Message(message) => content_of_message(&message).unwrap(),
            other => panic!("{}: nobody has said what is wrong in {other:?}", self.path()),
        }
    }

    /// The request with this in the field.
    pub fn fill(&self, request: &DynamicMessage, value: Value) -> DynamicMessage {
        let mut filled = request.clone();
        let mut message = &mut filled;
        for field in &self.0[..self.0.len() - 1] {
            message = message.get_field_mut(field).as_message_mut().unwrap();
        }
        message.set_field(self.last(), value);
        filled
    }

    /// The request with this text in the field.
    pub fn fill_text(&self, request: &DynamicMessage, text: &str) -> DynamicMessage {
        self.fill(request, Value::String(text.to_owned()))
    }

    /// The request with an instant or a span in the field.
    pub fn fill_time(&self, request: &DynamicMessage, seconds: i64, nanos: i32) -> DynamicMessage {
        let Kind::Message(message) = self.last().kind() else { panic!("{}", self.path()) };
        let mut time = DynamicMessage::new(message);
        time.set_field_by_name("seconds", Value::I64(seconds));
        time.set_field_by_name("nanos", Value::I32(nanos));
        self.fill(request, Value::Message(time))
    }

    fn last(&self) -> &FieldDescriptor {
        self.0.last().unwrap()
    }
}

fn content_of_message(message: &MessageDescriptor) -> Option<Content> {
    match message.full_name() {
        "google.protobuf.Timestamp" => Some(Content::Timestamp),
        "google.protobuf.Duration" => Some(Content::Duration),
        other if other.starts_with("google.protobuf.") => panic!("nobody has said what is wrong in {other}"),
        _ => None,
    }
}
