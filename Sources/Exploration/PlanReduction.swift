// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import Plans

extension Plan {
    /// The plan without `repeat`, each step as often as it is taken, and each DIMM by its number.
    var flattened: Plan {
        var flat = self
        var numbers = DIMMNumbers()
        flat.steps = Self.flattened(steps, &numbers)
        return flat
    }

    private static func flattened(_ steps: [Step], _ numbers: inout DIMMNumbers) -> [Step] {
        var flat: [Step] = []
        for step in steps {
            switch step {
            case .repeat(let times, let steps):
                for _ in 0..<times { flat += flattened(steps, &numbers) }
            case .plug, .crash(_?):
                numbers.plug()
                flat.append(step)
            case .unplug(let dimm):
                let number = numbers.number(of: dimm) ?? numbers.count
                numbers.unplug(dimm)
                flat.append(.unplug(.number(number)))
            case .guest(.hold(let dimm)):
                flat.append(.guest(.hold(.number(numbers.number(of: dimm) ?? numbers.count))))
            default: flat.append(step)
            }
        }
        return flat
    }

    /// The steps of a flat plan in pieces that stand or fall together: a step, and what is expected of it.
    var pieces: [[Step]] {
        var pieces: [[Step]] = []
        for step in steps {
            if case .expect = step, !pieces.isEmpty {
                pieces[pieces.count - 1].append(step)
            } else {
                pieces.append([step])
            }
        }
        return pieces
    }

    /// How many pieces hold the first so many steps of a flat plan.
    func pieceCount(ofSteps stepCount: Int) -> Int {
        var seen = 0
        return pieces.prefix { piece in
            defer { seen += piece.count }
            return seen < stepCount
        }.count
    }

    /// A flat plan of which only some pieces are left, made whole: the DIMMs are counted anew, and what is about a DIMM that
    /// does not come any more goes too, like the end of a load that is not on, and a load while one is on. Nil where that is
    /// no plan.
    func keeping(_ isKept: (Int) -> Bool) -> Plan? {
        var rest = self
        rest.steps = []
        /// The new numbers of the DIMMs, by the old ones.
        var numbers: [Int: Int] = [:]
        var count = 0
        var isLoaded = false
        for (index, piece) in pieces.enumerated() {
            var piece = piece
            if piece.first?.plugs == true { count += 1 }
            guard isKept(index) else { continue }
            if piece.first?.plugs == true { numbers[count] = numbers.count + 1 }
            switch piece.first {
            case .unplug(.number(let number)):
                guard let new = numbers[number] else { continue }
                piece[0] = .unplug(.number(new))
            case .guest(.hold(.number(let number))):
                guard let new = numbers[number] else { continue }
                piece[0] = .guest(.hold(.number(new)))
            case .guest(.load):
                guard !isLoaded else { continue }
                isLoaded = true
            case .guest(.endLoad):
                guard isLoaded else { continue }
                isLoaded = false
            case .reboot: isLoaded = false
            default: break
            }
            rest.steps += piece
        }
        return rest.checked
    }

    /// The plan, if it is one that a run takes, and no block is probed where the machine has none.
    var checked: Plan? {
        guard let text = try? yaml(), let plan = try? Plan(yaml: text), plan == self,
            let places = try? Machine(for: self).places
        else { return nil }
        var count = 0
        for step in steps {
            if step.plugs { count += 1 }
            guard case .guest(.probe(let block)) = step else { continue }
            let base = block * LMB.byteCount
            guard places.prefix(count).contains(where: { $0.contains(base) }) else { return nil }
        }
        return self
    }

    /// Plans with the same steps that ask for less, the largest leaps first: smaller DIMMs, without places and nodes of their
    /// own, and a plainer guest.
    var simplifications: [Plan] {
        var plans: [Plan] = []
        func offer(_ change: (inout Plan) -> Void) {
            var plan = self
            change(&plan)
            if plan != self, let checked = plan.checked { plans.append(checked) }
        }
        offer { $0.guest.append = nil }
        offer { $0.guest.vcpus = 1 }
        offer { $0.guest.hptPageSize = nil }
        offer { plan in
            plan.guest.numaNodes = nil
            plan.changePlugs { Plug($0.size, nil, $0.base) }
        }
        for index in steps.indices where steps[index].plugs {
            func offerPlug(_ change: (Plug) -> Plug) { offer { $0.changePlugs(at: index, change) } }
            offerPlug { Plug(LMB.byteCount, $0.node, $0.base) }
            offerPlug { Plug(max($0.size / 2 / LMB.byteCount, 1) * LMB.byteCount, $0.node, $0.base) }
            offerPlug { Plug(max($0.size - LMB.byteCount, LMB.byteCount), $0.node, $0.base) }
            offerPlug { Plug($0.size, nil, $0.base) }
            offerPlug { Plug($0.size, $0.node, nil) }
        }
        offer { plan in
            plan.steps = plan.steps.map { $0 == .verifyAllStructPages ? .verify : $0 }
        }
        offer { plan in (plan.guest.maximumMemory, plan.guest.slots) = (nil, nil) }
        return plans
    }

    private struct Plug {
        let size: UInt64
        let node: Int?
        let base: UInt64?

        init(_ size: UInt64, _ node: Int?, _ base: UInt64?) {
            self.size = size
            self.node = node
            self.base = base
        }
    }

    private mutating func changePlugs(at place: Int? = nil, _ change: (Plug) -> Plug) {
        for index in steps.indices where place == nil || index == place {
            guard case .plug(let size, let node, let base) = steps[index] else { continue }
            let new = change(Plug(size, node, base))
            steps[index] = .plug(size: new.size, node: new.node, base: new.base)
        }
    }
}

extension Plan.Step {
    /// Whether a DIMM is counted that it plugs.
    fileprivate var plugs: Bool {
        switch self {
        case .plug, .crash(_?): true
        default: false
        }
    }
}
