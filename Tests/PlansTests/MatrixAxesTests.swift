// SPDX-License-Identifier: Apache-2.0

import Plans
import Testing

/// A matrix's YAML.
@Suite struct MatrixAxesTests {
    @Test func readsEverything() throws {
        let axes = try MatrixAxes(
            yaml: """
                kernels: ["6.1", /boot/vmlinux-7.2]
                cpus: [POWER8, POWER10]
                plans: [unplug-replug, mine/plan.yaml]
                exclude:
                  - {plan: unplug-replug, cpu: POWER10}
                  - kernel: "6.1"
                """)
        #expect(
            axes
                == MatrixAxes(
                    plans: ["unplug-replug", "mine/plan.yaml"], kernels: ["6.1", "/boot/vmlinux-7.2"],
                    cpus: ["POWER8", "POWER10"],
                    exclude: [.init(plan: "unplug-replug", cpu: "POWER10"), .init(kernel: "6.1")]))
    }

    @Test func whatIsLeftOutIsEmpty() throws {
        #expect(try MatrixAxes(yaml: "plans: [kdump]") == MatrixAxes(plans: ["kdump"], kernels: [], cpus: []))
    }

    @Test(arguments: [
        ("plans: unplug-replug", "1:8: plans has to be a list"),
        ("kernels: [6.1]", "1:11: kernels has to be a text: write \"6.1\" in quotes"),
        ("cpus: [POWER7]", "no cpus 'POWER7'; there are POWER8, POWER9, POWER10"),
        ("plans: []", "at least one element"),
        ("plans: [\"\"]", "plans is empty"),
        ("plan: [kdump]", "a matrix has no key 'plan'; there are plans, kernels, cpus, exclude"),
        ("exclude: [{}]", "an exclusion names nothing"),
        ("exclude: [{plans: kdump}]", "an exclusion has no key 'plans'"),
        ("plans: &a [kdump]", "anchors and aliases are refused"),
        ("- kdump", "a matrix has to be keys and values"),
        ("plans: [\"\\u0007\"]", "holds the character U+0007"),
    ])
    func refuses(yaml: String, message: String) throws {
        let problem = try #require(throws: PlanProblem.self) { try MatrixAxes(yaml: yaml) }
        #expect("\(problem)".contains(message), "\(problem)")
    }
}
