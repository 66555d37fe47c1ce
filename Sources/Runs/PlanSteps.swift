// SPDX-License-Identifier: Apache-2.0

import GuestMemory
package import Guests
package import Plans

extension Plan {
    /// The steps of a run, those of `repeat` as often as they are taken: the guest is booted first, and switched off
    /// last unless it is kept.
    package func runSteps(_ guest: GuestConfiguration, keepsGuest: Bool) -> [any RunStep] {
        var numbers = DIMMNumbers()
        let steps = [BootStep(configuration: guest)] + Self.runSteps(steps, numbers: &numbers)
        return keepsGuest ? steps : steps + [PowerOffStep()]
    }

    private static func runSteps(_ steps: [Step], numbers: inout DIMMNumbers) -> [any RunStep] {
        var taken: [any RunStep] = []
        for step in steps {
            switch step {
            case .verify: taken.append(VerifyStep())
            case .verifyAllStructPages: taken.append(VerifyStep(looksAtAllStructPages: true))
            case .plug(let size, let node, let base):
                numbers.plug()
                taken.append(PlugStep(byteCount: size, node: node, base: base))
            case .unplug(let dimm):
                // The reader has seen to it that there is one.
                let number = numbers.number(of: dimm) ?? numbers.count
                numbers.unplug(dimm)
                taken.append(UnplugStep(number: number))
            case .wait(.settled): taken.append(SettleStep())
            case .wait(.seconds(let seconds)): taken.append(PauseStep(seconds: seconds))
            case .guest(let action): taken.append(GuestStep(action, numbers: numbers))
            case .reboot: taken.append(RebootStep())
            case .loadCrashKernel: taken.append(LoadCrashKernelStep())
            case .crash(let size): taken.append(CrashStep(plugByteCount: size))
            case .dump(let tool): taken.append(DumpStep(tool: tool))
            case .expect(let expectation): taken.append(ExpectStep(expectation: expectation))
            case .repeat(let times, let steps):
                for _ in 0..<times { taken += runSteps(steps, numbers: &numbers) }
            }
        }
        return taken
    }
}

extension GuestStep {
    /// The step of a plan's action.
    init(_ action: Plan.Action, numbers: DIMMNumbers) {
        switch action {
        case .online(let index): self.init(.block(index: index, isOnline: true))
        case .offline(let index): self.init(.block(index: index, isOnline: false))
        case .probe(let index): self.init(.probe(base: index * LMB.byteCount))
        case .dlpar(let line): self.init(.dlpar(line))
        case .read(let path, let contains): self.init(.read(path: path, expected: contains ?? ""))
        case .hold(let dimm): self.init(.hold(dimm: numbers.number(of: dimm) ?? numbers.count))
        case .leaveFree(let byteCount): self.init(.leaveFree(byteCount: byteCount))
        case .correctHPTSize: self.init(.action(.correctHPTSize))
        case .release: self.init(.action(.release))
        case .load(let byteCount): self.init(.action(.load(byteCount: byteCount)))
        case .endLoad: self.init(.action(.endLoad))
        }
    }
}
