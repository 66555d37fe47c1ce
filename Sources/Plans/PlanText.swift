// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Verification
import Yams

extension Plan {
    /// The plan as YAML, which ``init(yaml:)`` reads as the same plan, or refuses for what the plan holds.
    public func yaml() throws -> String {
        var fields: [(String, Node)] = [("description", .text(description))]
        let guest = guest.fields
        if !guest.isEmpty { fields.append(("guest", .fields(guest))) }
        fields.append(("steps", .sequence(.init(steps.map(\.node)))))
        let text = try Yams.serialize(node: .fields(fields), indent: 2, width: 120, sortKeys: false)
        // All of them are in quotes. The reader takes only some, which may be aliases; escaped, none is.
        return text.replacing("*", with: "\\x2A")
    }
}

extension Plan.Guest {
    fileprivate var fields: [(String, Node)] {
        [
            ("cpu", cpu.map(Node.text)), ("kernel", kernel.map(Node.text)), ("memory", memory.map(Node.size)),
            ("maximum-memory", maximumMemory.map(Node.size)), ("slots", slots.map(Node.number)),
            ("vcpus", vcpus.map(Node.number)), ("numa-nodes", numaNodes.map(Node.number)),
            ("hpt-page-size", hptPageSize.map(Node.size)),
            ("hpt-resizing", hptResizing.map { Node.text($0 ? "on" : "off") }),
            ("crash-kernel", crashKernel.map(Node.size)), ("dump-area", dumpArea.map(Node.size)),
            ("append", append.map(Node.text)),
        ].present
    }
}

extension Plan.Step {
    fileprivate var node: Node {
        switch self {
        case .verify: .text("verify")
        case .verifyAllStructPages: .fields([("verify", .fields([("struct-pages", .text("all"))]))])
        case .reboot: .text("reboot")
        case .loadCrashKernel: .text("load-crash-kernel")
        case .crash(nil): .text("crash")
        case .crash(let size?): .fields([("crash", .fields([("in-plug", .size(size))]))])
        case .dump(let tool): .fields([("dump", .text(tool.rawValue))])
        case .plug(let size, nil, nil): .fields([("plug", .size(size))])
        case .plug(let size, let node, let base):
            .fields([
                (
                    "plug",
                    .fields(
                        [("size", .size(size)), ("node", node.map(Node.number)), ("base", base.map(Node.size))].present)
                )
            ])
        case .unplug(let dimm): .fields([("unplug", dimm.node)])
        case .wait(.settled): .fields([("wait", .text("settled"))])
        case .wait(.seconds(let seconds)): .fields([("wait", .text("\(seconds)s"))])
        case .guest(let action): .fields([("guest", action.node)])
        case .expect(let expectation): .fields([("expect", .fields(expectation.fields))])
        case .repeat(let times, let steps):
            .fields([
                (
                    "repeat",
                    .fields([("times", .number(times)), ("steps", .sequence(.init(steps.map(\.node))))])
                )
            ])
        }
    }
}

extension Plan.DIMM {
    fileprivate var node: Node {
        switch self {
        case .number(let number): .number(number)
        case .last: .text("last")
        }
    }
}

extension Plan.Action {
    fileprivate var node: Node {
        switch self {
        case .online(let index): .fields([("online", .number(Int(clamping: index)))])
        case .offline(let index): .fields([("offline", .number(Int(clamping: index)))])
        case .probe(let index): .fields([("probe", .number(Int(clamping: index)))])
        case .dlpar(let line): .fields([("dlpar", .text(line))])
        case .read(let path, let contains):
            .fields([("read", .text(path)), ("contains", contains.map(Node.text))].present)
        case .hold(let dimm): .fields([("hold", dimm.node)])
        case .leaveFree(let byteCount): .fields([("leave-free", .size(byteCount))])
        case .correctHPTSize: .text("correct-hpt-size")
        case .release: .text("release")
        case .load(let byteCount): .fields([("load", .size(byteCount))])
        case .endLoad: .fields([("load", .text("none"))])
        }
    }
}

extension Plan.Expectation {
    fileprivate var fields: [(String, Node)] {
        [
            ("findings", findings.map { .sequence(.init($0.map(Node.text))) }),
            ("allowed", allowed.map { .sequence(.init($0.map(Node.text))) }),
            ("unsaid", unsaid.map { .sequence(.init($0.map { Node.text($0.rawValue) })) }),
            ("entries", entries.map(Node.number)),
            ("observed", observed.map(Node.number)), ("sections", sections.map(Node.number)),
            ("covered", covered.map(Node.number)), ("mmu", mmu.map(Node.text)),
            ("page-size", pageSize.map(Node.size)), ("vmemmap-page-size", vmemmapPageSize.map(Node.size)),
            ("unplug", unplug.map(Node.text)), ("altmap", altmap.map(Node.text)),
            ("dump", dump.map(Node.text)),
        ].present
    }
}

extension Node {
    /// A text, in quotes where it would read as something else, or holds what has to be escaped.
    fileprivate static func text(_ text: String) -> Node {
        let plain = Node(text)
        let isPlain = plain.tag == Tag(.str) && !text.contains("*")
        return .scalar(.init(text, Tag(.str), isPlain ? .any : .doubleQuoted))
    }

    fileprivate static func number(_ number: Int) -> Node { .scalar(.init("\(number)", Tag(.int))) }

    fileprivate static func size(_ byteCount: UInt64) -> Node { .text(ByteCount(byteCount).written) }

    fileprivate static func fields(_ fields: [(String, Node)]) -> Node {
        .mapping(.init(fields.map { (Node.text($0.0), $0.1) }))
    }
}

extension [(String, Node?)] {
    /// The fields that are there.
    fileprivate var present: [(String, Node)] {
        compactMap { field in field.1.map { (field.0, $0) } }
    }
}

extension Plan {
    /// The steps in the order in which a run takes them, those of a `repeat` as often as it says, each as a plan has it, in a
    /// line.
    public var stepTexts: [String] { Self.texts(of: steps) }

    private static func texts(of steps: [Step]) -> [String] {
        steps.flatMap { step -> [String] in
            guard case .repeat(let times, let inner) = step else { return [step.lineText] }
            let texts = texts(of: inner)
            return (0..<max(times, 0)).flatMap { _ in texts }
        }
    }
}

extension Plan.Step {
    /// The step's YAML in a line.
    fileprivate var lineText: String {
        guard let text = try? Yams.serialize(node: node, indent: 2, width: -1, sortKeys: false) else { return "a step" }
        let lines = text.split(separator: "\n").map { String($0.drop { $0 == " " }) }.filter { $0 != "..." }
        return lines.reduce("") { line, next in
            let word = next.hasPrefix("- ") ? String(next.dropFirst(2)) : next
            return line + (line.isEmpty ? "" : line.hasSuffix(":") ? " " : ", ") + word
        }
    }
}
