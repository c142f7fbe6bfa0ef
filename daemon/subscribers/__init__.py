"""What FastStream carries: low-rate subscribers on the live broker. Their handlers are plain functions of bytes."""
