# Joint tests, robust covariances, profile intervals, additive interaction and Firth's method, by R.
# Called as: Rscript referee/inference.R OUT.json SHARED_DIR
suppressPackageStartupMessages({library(sandwich); library(lmtest); library(brglm2); library(jsonlite)})
out <- commandArgs(TRUE)[1]
d <- read.csv("tests/vectors/statistics/inputs/cohort.csv")
tight <- glm.control(epsilon = 1e-15, maxit = 100)
vec <- function(x) as.list(unname(x))

full <- glm(y ~ age + male + sbp + chol + smoker + noise + hospital, binomial, d, control = tight)
no_two <- update(full, . ~ . - age - sbp)
no_terms <- glm(y ~ hospital, binomial, d, control = tight)
lr <- function(small) list(chi2 = 2 * as.numeric(logLik(full) - logLik(small)), df = small$df.residual - full$df.residual,
  log_p = pchisq(2 * as.numeric(logLik(full) - logLik(small)), small$df.residual - full$df.residual, lower.tail = FALSE, log.p = TRUE))
wald <- function(small, V) { w <- waldtest(small, full, vcov = V, test = "Chisq"); list(chi2 = w$Chisq[2], df = w$Df[2], p = w[["Pr(>Chisq)"]][2]) }
hc0 <- vcovHC(full, type = "HC0")
id <- (seq_len(nrow(d)) - 1) %/% 3

# Profile interval: uniroot on twice the log-likelihood's drop, the coefficient held by an offset.
X <- model.matrix(full)
drop_at <- function(v, k) {
  g <- suppressWarnings(glm.fit(X[, -k, drop = FALSE], d$y, offset = v * X[, k], family = binomial(), control = tight))
  full_dev <- full$deviance
  g$deviance - full_dev
}
profile_bound <- function(k, side) {
  b <- coef(full)[k]; s <- sqrt(vcov(full)[k, k])
  uniroot(function(v) drop_at(v, k) - qchisq(0.95, 1), sort(c(b + side * 0.5 * s, b + side * 5 * s)), tol = 1e-13 * max(1, abs(b)))$root
}
bounds <- sapply(seq_along(coef(full)), function(k) c(profile_bound(k, -1), profile_bound(k, 1)))
interpolated <- suppressMessages(confint(full))

# Additive interaction of two binary factors, gradients by symbolic differentiation.
add <- glm(y ~ male * smoker + age + hospital, binomial, d, control = tight)
pick <- c("male", "smoker", "male:smoker"); b <- coef(add)[pick]; V <- vcov(add)[pick, pick]
delta <- function(expr) {
  f <- deriv(expr, c("b1", "b2", "b3")); v <- eval(f, list(b1 = b[[1]], b2 = b[[2]], b3 = b[[3]])); g <- drop(attr(v, "gradient"))
  list(estimate = as.numeric(v), se = sqrt(drop(g %*% V %*% g)))
}

# Firth on the hospitals' dummies; FLIC and FLAC by their definitions.
few <- d[c(which(d$hospital == "d")[1:60], which(d$hospital == "c")[1:60]), ]
few$smoker[few$y == 0] <- 0  # smoking now separates the outcome quasi-completely
firth_control <- list(type = "AS_mean", epsilon = 1e-13, maxit = 5000)
firth <- glm(y ~ age + male + sbp + smoker + hospital, binomial, few, method = "brglmFit", control = firth_control)
F <- model.matrix(firth); mu <- fitted(firth); w <- mu * (1 - mu)
info <- crossprod(F, F * w); h <- rowSums((F %*% solve(info)) * F) * w
pen <- sum(log(ifelse(few$y == 1, mu, 1 - mu))) + 0.5 * as.numeric(determinant(info)$modulus)
eta0 <- drop(F %*% coef(firth))
flic_shift <- coef(glm(few$y ~ 1, binomial, offset = eta0, control = tight))[[1]]
aug <- rbind(cbind(F, g = 0), cbind(F, g = 1), cbind(F, g = 1)); ay <- c(few$y, few$y, 1 - few$y); aw <- c(rep(1, nrow(F)), h / 2, h / 2)
flac <- suppressWarnings(glm.fit(aug, ay, weights = aw, family = binomial(), control = tight))
whole_firth <- glm(formula(full), binomial, d, method = "brglmFit", control = firth_control)

tails <- expand.grid(x = c(0.5, 10, 300, 1300, 1500, 5000, 1e5), df = c(1, 2, 5, 40))
write_json(list(
  made_by = R.version.string,
  model = list(call = "full <- glm(y ~ age + male + sbp + chol + smoker + noise + hospital, binomial, control = glm.control(1e-15))",
    coef = vec(coef(full)), se = vec(sqrt(diag(vcov(full)))), loglik = as.numeric(logLik(full))),
  likelihood_ratio = list(call = "anova(update(full, . ~ . - age - sbp), full, test = 'LRT'); all six terms likewise", two = lr(no_two), all = lr(no_terms)),
  wald = list(call = "lmtest::waldtest(update(full, . ~ . - age - sbp), full, vcov = vcov(full) | sandwich::vcovHC(full, 'HC0'), test = 'Chisq')",
    two = wald(no_two, vcov(full)), two_hc0 = wald(no_two, hc0), all = wald(no_terms, vcov(full))),
  hc0 = list(call = "sandwich::vcovHC(full, type = 'HC0')", covariance = unname(hc0)),
  by_hospital = list(call = "sqrt(diag(sandwich::vcovCL(full, cluster = ~ hospital, type = 'HC0', cadjust = TRUE | FALSE)))",
    se_adjusted = vec(sqrt(diag(vcovCL(full, ~ hospital, type = "HC0", cadjust = TRUE)))),
    se = vec(sqrt(diag(vcovCL(full, ~ hospital, type = "HC0", cadjust = FALSE))))),
  by_id = list(call = "sandwich::vcovCL(full, cluster = (row - 1) %/% 3, type = 'HC0', cadjust = TRUE)",
    covariance = unname(vcovCL(full, id, type = "HC0", cadjust = TRUE))),
  profile = list(call = "uniroot on glm.fit(X[, -k], y, offset = v * X[, k])$deviance - deviance(full) - qchisq(0.95, 1); confint(full)",
    low = vec(bounds[1, ]), high = vec(bounds[2, ]), confint_low = vec(interpolated[, 1]), confint_high = vec(interpolated[, 2])),
  additive = list(call = "deriv(~ exp(b1 + b2 + b3) - exp(b1) - exp(b2) + 1) on glm(y ~ male * smoker + age + hospital), gradient' vcov gradient",
    reri = delta(~ exp(b1 + b2 + b3) - exp(b1) - exp(b2) + 1),
    share = delta(~ (exp(b1 + b2 + b3) - exp(b1) - exp(b2) + 1) / exp(b1 + b2 + b3)),
    log_synergy = delta(~ log((exp(b1 + b2 + b3) - 1) / (exp(b1) + exp(b2) - 2)))),
  chi_square_tail = list(call = "pchisq(x, df, lower.tail = FALSE, log.p = TRUE)", x = tails$x, df = tails$df,
    log_p = pchisq(tails$x, tails$df, lower.tail = FALSE, log.p = TRUE)),
  firth = list(call = "glm(y ~ age + male + sbp + chol + smoker + noise + hospital, binomial, method = 'brglmFit', type = 'AS_mean', epsilon = 1e-13)",
    coef = vec(coef(whole_firth)), se = vec(sqrt(diag(vcov(whole_firth))))),
  firth_separated = list(call = "first 60 rows of hospitals d and c, smoker := 0 where y == 0; glm(y ~ age + male + sbp + smoker + hospital, binomial, method = 'brglmFit', type = 'AS_mean')",
    coef = vec(coef(firth)), se = vec(sqrt(diag(vcov(firth)))), penalised_loglik = pen),
  flic = list(call = "coef(glm(y ~ 1, binomial, offset = X %*% coef(firth)))", shift = flic_shift),
  flac = list(call = "glm.fit(rbind(X g=0, X g=1, X g=1), c(y, y, 1 - y), weights = c(1, h / 2, h / 2)), h = hatvalues of the Firth fit",
    coef = vec(flac$coefficients[seq_len(ncol(F))]))
), out, digits = I(17), auto_unbox = TRUE, pretty = TRUE)
