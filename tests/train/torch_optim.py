"""Compares recorded optimizer steps and learning rates with those of torch.optim.

The file holds {"optimizers": [...], "schedules": [...]}. Prints the largest differences found.
Exit status: 0 within rounding, 1 different, 77 no torch.
"""
import json
import sys

try:
    import torch
except ImportError:
    sys.exit(77)

OPTIMIZERS = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adadelta": torch.optim.Adadelta,
}
# Both sides round each product and sum to float32; torch fuses some of them.
FLOAT32_TOLERANCE = 5e-7
FLOAT64_TOLERANCE = 1e-14


def keywords(spec):
    spec = dict(spec)
    kind = OPTIMIZERS[spec.pop("type")]
    if "beta1" in spec:
        spec["betas"] = (spec.pop("beta1"), spec.pop("beta2"))
    return kind, spec


def optimizer_difference(case):
    """The largest difference of a parameter after any step, as a share of how far it has moved."""
    parameter = torch.nn.Parameter(torch.tensor(case["initial"], dtype=torch.float32))
    kind, spec = keywords(case["optimizer"])
    optimizer = kind([parameter], **spec)
    initial = parameter.detach().clone()
    worst = 0.0
    for gradient, found in zip(case["gradients"], case["parameters"], strict=True):
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        moved = (parameter.detach() - initial).abs().max().item()
        size = max(moved, parameter.detach().abs().max().item())
        difference = (parameter.detach() - torch.tensor(found)).abs().max().item()
        worst = max(worst, difference / size)
    return worst


def warm_up(optimizer, steps):
    if steps > 1:
        return torch.optim.lr_scheduler.LinearLR(optimizer, 1 / steps, 1.0, steps - 1)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)


def main_schedule(optimizer, case, steps):
    spec, lr = case["schedule"], case["lr"]
    if spec["type"] == "step":
        return torch.optim.lr_scheduler.StepLR(
            optimizer, spec["step_size"] * case["steps_per_epoch"], spec["gamma"])
    if spec["type"] == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, lr * spec["end_factor"])
    if spec["type"] == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, lr, total_steps=steps, pct_start=spec["pct_start"], cycle_momentum=False,
            div_factor=spec["div_factor"], final_div_factor=spec["final_div_factor"])
    return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)


def rates_of(make, lr, steps):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def schedule_difference(case):
    total = case["steps"]
    first = int(case["schedule"].get("warm_up", 0) * total)
    rest = total - first
    # OneCycleLR does not take a step after its last; the other schedules do not mind it.
    expected = rates_of(lambda o: warm_up(o, first), case["lr"], first) if first else []
    main = rates_of(lambda o: main_schedule(o, case, rest), case["lr"], rest - 1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=case["lr"])
    scheduler = main_schedule(optimizer, case, rest)
    for _ in range(rest - 1):
        optimizer.step()
        scheduler.step()
    expected += main + [optimizer.param_groups[0]["lr"]]
    if len(expected) != len(case["rates"]):
        sys.exit(f"{len(case['rates'])} rates, expected {len(expected)}")
    return max(abs(e - r) for e, r in zip(expected, case["rates"])) / case["lr"]


def check(name, cases, difference, tolerance):
    if not cases:
        sys.exit(f"no {name} to compare")
    for case in cases:
        worst = difference(case)
        print(f"{name} {json.dumps(case[name])}: {worst:.2e}")
        if not worst <= tolerance:
            sys.exit(f"{name} {json.dumps(case[name])}: differs by {worst}, allowed is {tolerance}")


with open(sys.argv[1], encoding="utf-8") as file:
    recorded = json.load(file)
check("optimizer", recorded["optimizers"], optimizer_difference, FLOAT32_TOLERANCE)
check("schedule", recorded["schedules"], schedule_difference, FLOAT64_TOLERANCE)
