// SPDX-License-Identifier: Apache-2.0

import Guests
import HarnessBasics
import Libvirt
import OfflineCommands
import Plans

extension RunCommand {
    static let defaultKernel = "6.1"

    /// The plan that the command line asks for, with everything in it that it leaves to the command line: as it is read
    /// from what the record will hold, so that one reader judges flags and plans, and takes the record's plan again.
    func resolvedPlan(_ environment: [String: String]) throws -> Plan {
        var plan = try givenPlan(environment)
        func settle<Value>(_ option: String, _ given: Value?, _ planned: inout Value?, default value: Value?) throws {
            guard let given else {
                planned = planned ?? value
                return
            }
            guard planned == nil else {
                throw HarnessError.usage("\(option) cannot go with a plan that settles it")
            }
            planned = given
        }
        try settle("--cpu", cpu?.rawValue, &plan.guest.cpu, default: DomainDescription.CPUModel.power8.rawValue)
        try settle("--kernel", kernel, &plan.guest.kernel, default: Self.defaultKernel)
        try settle("--memory", memory?.value, &plan.guest.memory, default: 1 << 30)
        try settle("--vcpus", vcpus, &plan.guest.vcpus, default: 1)
        try settle("--append", append.flatMap { $0.isEmpty ? nil : $0 }, &plan.guest.append, default: nil)
        let text = try plan.yaml()
        do throws(PlanProblem) {
            return try Plan(yaml: text)
        } catch {
            // Its place is one in a text that nobody has written.
            throw HarnessError.usage(error.message)
        }
    }

    private func givenPlan(_ environment: [String: String]) throws -> Plan {
        guard let name = plan else { return try flagsPlan() }
        guard plug.isEmpty, unplug.isEmpty else {
            throw HarnessError.usage("--plug and --unplug cannot go with a plan, which has its own")
        }
        return try ReadyPlans.plan(named: name, environment: environment, executable: Program.executable)
    }

    /// Without a plan: verify before and after each plug, and each unplug.
    private func flagsPlan() throws -> Plan {
        let plugs = plug.isEmpty ? [ByteCount(1 << 30)] : plug
        for (index, number) in unplug.enumerated() {
            guard 1...plugs.count ~= number, !unplug[..<index].contains(number) else {
                throw HarnessError.usage(
                    "--unplug \(number): there are DIMMs 1 to \(plugs.count), and each can be unplugged once")
            }
        }
        var steps: [Plan.Step] = [.verify]
        for plug in plugs { steps += [.plug(size: plug.value, node: nil, base: nil), .verify] }
        for number in unplug { steps += [.unplug(.number(number)), .verify] }
        return Plan(description: "As the command line says.", steps: steps)
    }
}
