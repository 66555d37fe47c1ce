// SPDX-License-Identifier: Apache-2.0

/// A run of a matrix: a plan, on a kernel and a CPU model.
public struct MatrixCell: Codable, Hashable, Sendable {
    /// Counts from 1 through the whole matrix, also where a shard takes a part of it.
    public var number: Int
    /// The plan, as `run` takes it: a ready plan's name, or a file's path.
    public var plan: String
    /// The kernel, as `run` takes it.
    public var kernel: String
    /// The CPU model.
    public var cpu: String
    /// SHA-256 of the plan as it is run, in hexadecimal digits, but for kernel and CPU model.
    public var planDigest: String
    /// What it takes beside the others: seconds where they are known, else steps. Shards are balanced by it.
    public var weight: Double

    /// Collects what is known of a cell.
    public init(number: Int, plan: String, kernel: String, cpu: String, planDigest: String, weight: Double) {
        (self.number, self.plan, self.kernel, self.cpu) = (number, plan, kernel, cpu)
        (self.planDigest, self.weight) = (planDigest, weight)
    }

    /// What a person calls it, in a line.
    public var name: String { "\(planName), \(kernelName), \(cpu)" }
    /// The plan's name without folders.
    public var planName: String { Self.last(plan).replacingSuffix(".yaml") }
    /// The kernel's name without folders.
    public var kernelName: String { Self.last(kernel) }

    private static func last(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }
}

extension String {
    fileprivate func replacingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) && count > suffix.count ? String(dropLast(suffix.count)) : self
    }
}
