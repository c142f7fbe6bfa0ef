"""The value types that every layer shares: money, times, states, prices, principals."""
