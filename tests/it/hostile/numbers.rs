//! Numbers, enums, instants and spans at their extremes and beyond.

use prost_reflect::Value;

use super::{
    Answer, Call, House,
    fields::{Content, Field},
};
use crate::contract::store::Store;

/// The first second of year 1, and the last of year 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

pub async fn x21_a_number_or_an_instant_out_of_range_is_refused_by_the_name_of_its_field(store: Store) {
    let house = House::open(&store).await;
    let mut fields = 0;
    for call in &house.calls {
        for field in Field::all(&call.method.input()) {
            let requests = match field.content() {
                Content::Text | Content::Bool => continue,
                Content::Number => numbers(call, &field),
                Content::Enum => enums(call, &field),
                Content::Timestamp => instants(call, &field),
                Content::Duration => spans(call, &field),
            };
            fields += 1;
            for (request, may_be) in requests {
                let expected = if may_be { call.usual.clone() } else { Answer::wrong(&field.path()) };
                house.expect(call, &request, &expected, &request.to_string()).await;
            }
        }
        house.is_unchanged(&store).await;
    }
    assert!(fields >= 5, "only {fields} fields were found");
}

/// Requests, each with whether it can be.
type Requests = Vec<(prost_reflect::DynamicMessage, bool)>;

fn numbers(call: &Call, field: &Field) -> Requests {
    let numbers = [(i32::MIN, false), (-1, false), (0, true), (1, true), (i32::MAX, true)];
    numbers.map(|(number, may_be)| (field.fill(&call.request, Value::I32(number)), may_be)).into()
}

fn enums(call: &Call, field: &Field) -> Requests {
    let numbers = [i32::MIN, -1, 9999, i32::MAX];
    numbers.map(|number| (field.fill(&call.request, Value::EnumNumber(number)), false)).into()
}

fn instants(call: &Call, field: &Field) -> Requests {
    let (first, last) = SECONDS.into_inner();
    let times = [
        (i64::MIN, 0, false),
        (i64::MIN, i32::MIN, false),
        (first - 1, 999_999_999, false),
        (first, 0, true),
        (0, -1, false),
        (0, i32::MIN, false),
        (0, 999_999_999, true),
        (0, 1_000_000_000, false),
        (0, i32::MAX, false),
        // Of these two only a login can't be in the future.
        (last, 999_999_999, field.name() != "login_time"),
        (last + 1, 0, false),
        (i64::MAX / 1_000_000, 0, false),
        (i64::MAX, 0, false),
        (i64::MAX, i32::MAX, false),
    ];
    times.map(|(seconds, nanos, may_be)| (field.fill_time(&call.request, seconds, nanos), may_be)).into()
}

fn spans(call: &Call, field: &Field) -> Requests {
    let spans = [
        (i64::MIN, 0),
        (i64::MAX, 0),
        (-315_576_000_001, 0),
        (315_576_000_001, 0),
        (0, i32::MIN),
        (0, i32::MAX),
        (0, 1_000_000_000),
        (1, -1),
        (-1, 1),
    ];
    spans.map(|(seconds, nanos)| (field.fill_time(&call.request, seconds, nanos), false)).into()
}
