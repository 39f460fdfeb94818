// Tests that need LibTorch include this: torch first, doctest last, because both define CHECK.
#pragma once

#include <torch/torch.h>

#undef CHECK
#include <doctest/doctest.h>
