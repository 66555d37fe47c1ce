// SPDX-License-Identifier: Apache-2.0

/// A run of a matrix: a plan, on a kernel and a CPU model.
public struct MatrixCell: Codable, Hashable, Sendable {
    /// Counts from 1 through the whole matrix, also where a shard takes a part of it.
    public var number: Int
    /// The plan, as `run` takes it: a ready plan's name, or a file's path.
    public var plan: String
    /// As much of that from its end as tells it apart from the matrix's other plans.
    public var planName: String
    /// The kernel, as `run` takes it.
    public var kernel: String
    /// As much of that from its end as tells it apart from the matrix's other kernels.
    public var kernelName: String
    /// The CPU model.
    public var cpu: String
    /// SHA-256 of the plan as it is run, which is its record's `plan.yaml`, in hexadecimal digits.
    public var planDigest = ""
    /// SHA-256 of the kernel's file, in hexadecimal digits.
    public var kernelDigest = ""
    /// What it takes beside the others: seconds where they are known, else steps. Shards are balanced by it.
    public var weight: Double

    /// Collects what is known of a cell whose plan and kernel nobody has looked at yet.
    public init(
        number: Int, plan: String, planName: String, kernel: String, kernelName: String, cpu: String, weight: Double
    ) {
        (self.number, self.plan, self.planName, self.kernel) = (number, plan, planName, kernel)
        (self.kernelName, self.cpu, self.weight) = (kernelName, cpu, weight)
    }

    /// What a person calls it, in a line.
    public var name: String { "\(planName), \(kernelName), \(cpu)" }

    /// What is taken for a weight, in seconds or steps.
    public static let weights = 0.0...1e9
    /// How many cells a matrix may have.
    public static let countLimit = 4096
}
