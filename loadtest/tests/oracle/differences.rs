//! Where we answer otherwise than Orca, on purpose.

const REFUSED: &str = "equal refIds and cycles are refused";
const ON_TIME: &str = "timeouts fire on time, also where they are written as text";
const ENDED: &str = "what has ended does not change any more, and says so";
const ONCE: &str = "what an expression made is not evaluated again";

/// Case, and why.
const DECIDED: &[(&str, &str)] = &[
    ("a-dup-refid", REFUSED),
    ("a-cycle-all", REFUSED),
    ("d-timeout-cp", ON_TIME),
    ("d-timeout-fpfalse", ON_TIME),
    ("d-timeout-string", ON_TIME),
    ("d-timeout-marksuccess", ON_TIME),
    ("d2-timeout-string", ON_TIME),
    ("d-cancel-done", ENDED),
    ("e-patch-done", ENDED),
    ("e-patch-unknown-stage", "a stage that does not exist is not found"),
    ("e-bogus-status", "a judgment that is neither `continue` nor `stop` is refused"),
    ("h-default-expr", ONCE),
    ("g-fail-seq", ONCE),
    ("g4-own-ctx-expr", ONCE),
    ("g-trigger-expr", "what a trigger brings is data, not document text"),
    ("g-exec-auth", "who is nobody is `anonymous`, as behind Gate"),
    ("g-assign", "an expression assigns nothing"),
    ("g-exec-stages-proj", "stages keep the document's order; Orca's store sorts them by refId"),
    ("g-collect-manifests", "keys keep their order; Orca's follow their hashes"),
    ("g-var-root", "a trigger's fields have their defaults wherever they are shown"),
];

/// Why a case differs, if it was decided so.
pub(crate) fn reason(id: &str) -> Option<&'static str> {
    DECIDED.iter().find(|(case, _)| *case == id).map(|(_, why)| *why)
}
